"""Heart, great vessels, trachea, oesophagus.

Sources: ascending aorta 3.2 cm, descending 2.4 cm, at L2 2 cm, inferior vena cava 2-2.5 cm, trachea 1.8-2 cm wide and dividing at
T4/T5, oesophagus 1.5-2 cm, heart 12 x 8.5 x 6-7 cm (Gray's Anatomy; Hansen 2019 for the aorta).
"""

from __future__ import annotations

from .combine import Grown
from .part import KEEP, Part, pair
from .shapes import Ellipsoid, Tube

AORTA = [(-6, -26, 546), (-14, -34, 572), (-10, -32, 594), (4, -23, 611), (21, -6, 616), (30, 18, 608), (29, 36, 588), (24, 40, 560),
         (20, 36, 520), (15, 30, 460), (9, 22, 410), (8, 10, 350), (7, 5, 290), (4, 4, 236)]
CAVA = [(-14, 8, 226), (-18, 6, 290), (-20, 8, 350), (-26, 14, 400), (-26, 8, 440), (-24, -2, 470), (-24, -10, 486)]
OESOPHAGUS = [(0, 8, 694), (2, 11, 660), (3, 18, 620), (5, 27, 580), (6, 26, 530), (8, 15, 490), (16, 4, 460), (34, 6, 440), (50, 14, 432)]
TRACHEA = [(0, -8, 700), (0, -8, 670), (0, -3, 635), (1, 3, 605), (2, 8, 590)]


def airway_parts() -> list[Part]:
    """Larynx, thyroid, trachea with its wall, main bronchi; of these only the trachea is labelled."""
    tube = Tube(TRACHEA, 9.5, pieces=3)
    bronchus = Tube([(2, 8, 588), (22, 16, 566), (44, 16, 548), (60, 20, 538)], [8, 7, 6, 4.5], pieces=3)
    return [*pair(Grown(bronchus, 2), "soft"), *pair(bronchus, "gas"),
            *pair(Ellipsoid((16, -5, 668), (8, 9, 21)), "thyroid"),
            Part(Grown(Tube([(0, -8, 712), (0, -8, 690)], [12, 11]), 3), "cartilage"),
            Part(Grown(tube, 2.5), "soft", None, "Trachea", 0.5), Part(tube, "gas", "Trachea", loose=0.5)]


def neck_parts(lumen: bool) -> list[Part]:
    """Carotid arteries and jugular veins in their sheaths of fat, then the oesophagus, now and then with some air."""
    oesophagus = Tube(OESOPHAGUS, [7, 8, 8, 8.5, 8.5, 9, 9, 9, 8], (1.1, 0.9, 1), pieces=3)
    parts = [
        *pair(Tube([(27, -6, 650), (27, 2, 700), (30, 8, 758)], [13, 12, 11]), "fat"),
        *pair(Tube([(20, -22, 618), (30, -6, 650), (30, 4, 700), (34, 8, 760)], [7, 6, 6, 5], pieces=2), "vein"),
        *pair(Tube([(10, -16, 616), (22, -6, 650), (23, 4, 700), (26, 8, 760)], [5, 4.5, 4, 3.5], pieces=2), "artery"),
        Part(Grown(oesophagus, 2.5), "fat", None, "Eso", 0.5), Part(oesophagus, "oesophagus", "Eso", loose=0.5)]
    if lumen:
        parts += [Part(Ellipsoid((4, y, z), (4, 3, 14)), "gas", KEEP, "Eso", 0.5) for y, z in ((27, 560), (17, 628))]
    return parts


def chest_parts() -> list[Part]:
    """Heart and great vessels; the heart's label holds its chambers, the left atrial appendage is a structure of its own."""
    heart = Ellipsoid((20, -30, 506), (62, 44, 46), 2, (0, 24, -24))
    aorta = Tube(AORTA, [16, 16, 15, 14, 13.5, 13, 12.5, 12, 12, 11.5, 11, 10, 9.5, 9], pieces=3)
    return [
        Part(Tube([(8, -36, 548), (12, -22, 566), (4, 2, 566)], [13, 13, 10], pieces=3), "vein", None, "Pulmonary"),
        *pair(Tube([(8, -6, 564), (34, 4, 556), (52, 12, 548)], [9, 8, 6], pieces=3), "vein", None, "Pulmonary"),
        Part(Grown(heart, 3), "fat", None, "Heart", 0.8),
        Part(heart, "myocardium", "Heart", "Heart", 0.8),
        Part(Ellipsoid((38, -30, 494), (34, 19, 20), 2, (0, 28, -28)), "chamber", KEEP, "Heart", 0.8),
        Part(Ellipsoid((10, -50, 498), (34, 15, 22), 2, (0, 18, -12)), "chamber", KEEP, "Heart", 0.8),
        Part(Ellipsoid((-22, -22, 510), (15, 22, 26)), "chamber", KEEP, "Heart", 0.8),
        Part(Ellipsoid((10, -4, 524), (27, 15, 18)), "chamber", KEEP, "Heart", 0.8),
        Part(Ellipsoid((40, -26, 541), (22, 13, 12), 2, (0, 20, -30)), "chamber", "LAA", "Heart", 0.8),
        Part(Tube([(-25, -22, 546), (-27, -18, 580), (-20, -18, 620)], [10, 10, 9], pieces=3), "vein", None, "Superior"),
        Part(Grown(aorta, 1.5), "fat", None, "A_Aorta", 0.3),
        Part(aorta, "artery", "A_Aorta", loose=0.3),
    ]


def abdominal_vessel_parts() -> list[Part]:
    """Inferior vena cava, portal and mesenteric vessels, iliac vessels."""
    cava = Tube(CAVA, [9.5, 10.5, 11.5, 12, 12, 11.5, 11], (1.1, 0.95, 1), pieces=3)
    return [
        Part(Tube([(4, -22, 290), (0, -26, 330), (-14, -14, 362), (-34, -6, 388)], [5.5, 6, 7, 6], pieces=3),
             "vein", None, "Pancreas", 0.8),
        Part(Tube([(10, -18, 330), (10, -24, 290), (6, -30, 240)], [4, 4, 3], pieces=2), "artery"),
        *pair(Tube([(6, 6, 236), (28, 20, 190), (44, 26, 160), (58, -4, 130), (72, -34, 92), (78, -50, 40)],
                   [6.5, 6, 5.5, 5.5, 5, 5], pieces=2), "artery"),
        *pair(Tube([(12, 14, 226), (34, 28, 186), (44, 34, 158), (52, 6, 126), (64, -26, 90), (66, -44, 40)],
                   [8, 7, 7, 6.5, 6, 6], pieces=2), "vena_cava"),
        Part(Grown(cava, 1.5), "fat", None, "V_VenaCava_I", 0.3),
        Part(cava, "vena_cava", "V_VenaCava_I", loose=0.3),
    ]
