"""The reference in torch: a ResNet18 written as torchvision writes it, with its names."""

from typing import Any


def resnet18(torch: Any, channels: int = 3, classes: int = 4) -> Any:
    """A `torch.nn.Module`; `torch` is handed in, for it is not installed everywhere."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.downsample = None
            if stride != 1 or inside != outside:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
                )

        def forward(self, x: Any) -> Any:
            shortcut = x if self.downsample is None else self.downsample(x)
            x = self.bn1(self.conv1(x)).relu()
            return (self.bn2(self.conv2(x)) + shortcut).relu()

    class ResNet18(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            inside = 64
            for level, outside in enumerate((64, 128, 256, 512), start=1):
                stride = 1 if level == 1 else 2
                blocks = nn.Sequential(Block(inside, outside, stride), Block(outside, outside, 1))
                setattr(self, f"layer{level}", blocks)
                inside = outside
            self.fc = nn.Linear(512, classes)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.bn1(self.conv1(x)).relu())
            for level in range(1, 5):
                x = getattr(self, f"layer{level}")(x)
            return self.fc(x.mean(dim=(2, 3)))

    return ResNet18()


def lively(torch: Any, model: Any) -> Any:
    """The model in evaluation mode, with statistics and offsets unlike those of a new one."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name == "fc.weight":
                tensor.normal_(0, 0.5)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.2)
            elif name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
    return model.eval()
