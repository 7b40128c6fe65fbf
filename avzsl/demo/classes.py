"""The classes of the demo world: phrases of a motion, an object and a sound.

Half of the pictures and half of the sounds form four blocks:

    |              | first sounds | other sounds |
    | first pictures | test_unseen  | train        |
    | other pictures | train        | val_unseen   |

So every word of an unseen class occurs in a train class, and among the unseen classes of one block neither
the picture nor the sound tells the class: each picture occurs with every sound of the block.
"""

from __future__ import annotations

from dataclasses import dataclass

from avzsl.config.demo import WorldConfig

MOTIONS = ("bouncing", "sliding", "growing", "flashing", "spinning", "shaking")
OBJECTS = ("ball", "ladder", "star", "wheel", "chessboard", "flower")
SOUNDS = ("bell", "siren", "rain", "engine", "insect", "clock")
# Two sounds that make two classes, one for each order; nothing but the order tells these apart.
ORDERED = (("rain", "bell"), ("engine", "clock"), ("siren", "insect"))
THEN = " then "


@dataclass(frozen=True)
class DemoClass:
    """One class and its role in the split that the demo is made for.

    `sound` is one sound, or two with `then` between them, which each last half of the clip.
    """

    motion: str
    object: str
    sound: str
    role: str  # train, val_unseen or test_unseen

    @property
    def name(self) -> str:
        return self.sound if THEN in self.sound else f"{self.motion} {self.object} {self.sound}"


def demo_classes(world: WorldConfig) -> list[DemoClass]:
    """Return every class of the world, sorted by name.

    The first half of the pictures pairs motion k with object k, the second half motion k with object k + 1,
    so that a motion and an object occur with more than one partner. Classes of an order share the first picture.
    """
    half, other = world.pictures // 2, world.sounds // 2
    pictures = [(MOTIONS[k], OBJECTS[k]) for k in range(half)]
    pictures += [(MOTIONS[k], OBJECTS[(k + 1) % half]) for k in range(half)]
    sounds = SOUNDS[: world.sounds]
    classes = []
    for p, (motion, thing) in enumerate(pictures):
        for s, sound in enumerate(sounds):
            first_picture, first_sound = p < half, s < other
            role = "train" if first_picture != first_sound else ("test_unseen" if first_picture else "val_unseen")
            classes.append(DemoClass(motion, thing, sound, role))
    for first, second in ORDERED[: world.ordered]:
        for sounds_in_order in ((first, second), (second, first)):
            classes.append(DemoClass(*pictures[0], THEN.join(sounds_in_order), "train"))
    return sorted(classes, key=lambda c: c.name)
