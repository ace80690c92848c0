"""What is generated from the config models stands in the repository as generated."""

from coverslip.configuration import schema


def test_schema_does_not_drift():
    assert schema.SCHEMA.read_text() == schema.schema(), "run `make schema`"


def test_parameter_table_does_not_drift():
    text = schema.TABLE.read_text()
    assert text == schema.readme(text), "run `make schema`"


def test_every_parameter_is_described():
    document = schema.Config.model_json_schema()
    for name, section in document["$defs"].items():
        for key, child in section["properties"].items():
            assert schema.meaning_of(child, document), f"{name}.{key} has no description"
