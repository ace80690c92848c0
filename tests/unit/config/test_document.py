"""What is generated from the config models stands in the repository as generated."""

from coverslip.config import document
from coverslip.config import document as document_module


def test_schema_does_not_drift():
    assert document.SCHEMA.read_text() == document.schema(), "run `make schema`"


def test_parameter_table_does_not_drift():
    text = document.TABLE.read_text()
    assert text == document.readme(text), "run `make schema`"


def test_every_parameter_is_described():
    document = document_module.Config.model_json_schema()
    for name, section in document["$defs"].items():
        for key, child in section["properties"].items():
            assert document_module.meaning_of(child, document), f"{name}.{key} has no description"
