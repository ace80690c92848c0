"""References in torch, with their names: torchvision's ResNet18, timm's EfficientNet-Lite0."""

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


def efficientnet_lite0(torch: Any) -> Any:
    """The encoder of timm's `tf_efficientnet_lite0`; gives the outputs of its seven stages."""
    nn = torch.nn
    padded = nn.functional.pad

    def same(x: Any, size: int, stride: int) -> Any:
        """Padded as TensorFlow does: what is odd goes below and to the right."""
        total = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[2:]]
        (top, left) = (n // 2 for n in total)
        return padded(x, (left, total[1] - left, top, total[0] - top))

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, size: int, stride: int, wide: int) -> None:
            super().__init__()
            self.size, self.stride, self.thin = size, stride, wide == inside
            self.shortcut = stride == 1 and inside == outside
            depthwise = nn.Conv2d(wide, wide, size, stride, groups=wide, bias=False)
            if self.thin:
                self.conv_dw, self.bn1 = depthwise, norm(wide)
                self.conv_pw, self.bn2 = nn.Conv2d(wide, outside, 1, bias=False), norm(outside)
            else:
                self.conv_pw, self.bn1 = nn.Conv2d(inside, wide, 1, bias=False), norm(wide)
                self.conv_dw, self.bn2 = depthwise, norm(wide)
                self.conv_pwl, self.bn3 = nn.Conv2d(wide, outside, 1, bias=False), norm(outside)

        def forward(self, x: Any) -> Any:
            relu6, entered = nn.functional.relu6, x
            if self.thin:
                x = relu6(self.bn1(self.conv_dw(same(x, self.size, self.stride))))
                x = self.bn2(self.conv_pw(x))
            else:
                x = relu6(self.bn1(self.conv_pw(x)))
                x = relu6(self.bn2(self.conv_dw(same(x, self.size, self.stride))))
                x = self.bn3(self.conv_pwl(x))
            return x + entered if self.shortcut else x

    def norm(channels: int) -> Any:
        return nn.BatchNorm2d(channels, eps=1e-3)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv_stem, self.bn1 = nn.Conv2d(3, 32, 3, 2, bias=False), norm(32)
            sizes, strides = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)
            inside, stages = 32, []
            for stage, outside in enumerate((16, 24, 40, 80, 112, 192, 320)):
                blocks = []
                for number in range((1, 2, 2, 3, 3, 4, 1)[stage]):
                    stride = strides[stage] if number == 0 else 1
                    wide = inside * (1 if stage == 0 else 6)
                    blocks.append(Block(inside, outside, sizes[stage], stride, wide))
                    inside = outside
                stages.append(nn.Sequential(*blocks))
            self.blocks = nn.Sequential(*stages)

        def forward(self, x: Any) -> list[Any]:
            x = nn.functional.relu6(self.bn1(self.conv_stem(same(x, 3, 2))))
            outputs = []
            for stage in self.blocks:
                x = stage(x)
                outputs.append(x)
            return outputs

    return Encoder()


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
