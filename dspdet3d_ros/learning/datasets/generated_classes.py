"""Names of the small objects that generated scenes label."""

# TO-SCENE names where that data set has one; "cup", "box" and "mouse" have none there. A "part" is any thin or tiny
# object without a class of its own: cutlery, tools, pens, screws, brackets.
CLASS_NAMES: tuple[str, ...] = (
    "bag",
    "book",
    "bottle",
    "bowl",
    "box",
    "calculator",
    "camera",
    "can",
    "candle",
    "cap",
    "clock",
    "coffee_machine",
    "cup",
    "cutting_board",
    "display",
    "doll",
    "file_box",
    "fruit",
    "jar",
    "keyboard",
    "lamp",
    "laptop",
    "mouse",
    "mug",
    "notebook",
    "part",
    "phone",
    "plant",
    "plate",
    "radio",
    "remote control",
    "saucepan",
    "tea_pot",
    "toaster",
    "vase",
)

#: Classes whose objects usually fill less than a litre.
SMALL = frozenset(
    {"book", "bottle", "calculator", "camera", "can", "candle", "clock", "cup", "fruit", "jar", "keyboard", "mouse"}
    | {"mug", "notebook", "part", "phone", "plate", "remote control"}
)
#: Classes whose objects are mostly lower than 4 cm where they lie.
THIN = frozenset({"book", "calculator", "cutting_board", "keyboard", "mouse", "notebook", "part", "phone", "plate"}) | {
    "remote control"
}
