"""Studies of confluency on synthetic dishes: K-means on texture, on raw color, and a network."""


def config() -> dict:
    """The configuration; nothing is shared between its sections."""
    split = {"method": "grouped", "test": 0.25, "validation": 0.25}
    made = {"kind": "synthetic", "simulator": "brightfield", "images": 12, "size": 96}
    recipes = {
        "raw-color": {"kmeans": {"features": "raw_color", "clusters": [3]}},
        "texture": {"kmeans": {"clusters": [2, 4]}},
        "network": {
            "network": {"filters": 2, "depth": 1},
            "training": {"epochs": 1, "batch_size": 4},
        },
    }
    return {
        "datasets": {
            "dishes": {
                "title": "Dishes",
                "source": made,
                "format": "paired",
                "group_by": "filename",
                "group_pattern": "^(?P<group>dish[0-9]+)_",
            }
        },
        "studies": {
            name: {
                "title": name,
                "task": "confluency",
                "dataset": "dishes",
                "split": dict(split),
                "preprocessing": {"channels": "grey", "input_scaling": "none", "patch": 32},
                **recipe,
            }
            for name, recipe in recipes.items()
        },
    }
