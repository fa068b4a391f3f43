"""The HTTP interface of served models. It knows no Ray, no MLflow and no network."""
