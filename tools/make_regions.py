"""Makes sipacr/routing/data/{countries,areas}.csv from the metadata of the `phonenumbers` package and the tables below.

    python -m tools.make_regions          # writes the files
    python -m tools.make_regions --list   # prints every area code with its name and code, for the eye

libphonenumber names the place of an area code; which subdivision (ISO 3166-2) that place is in was decided by hand, and
stands here. The script refuses to write while an area code of the package has no subdivision in the tables.
"""

import random
import re
import sys
from datetime import date
from functools import cache
from pathlib import Path

import phonenumbers
from phonenumbers import PhoneMetadata
from phonenumbers.geodata import GEOCODE_DATA

from sipacr.routing.numbers import validity

DATA = Path(__file__).parents[1] / "sipacr" / "routing" / "data"
Codes = tuple[str, ...]

# Germany: national prefixes without the 0; the longest one counts. Exchanges on a border are named one by one.
GERMANY = {
    "NW": "2 2697 52 5404 5423 5425 545 5474 548 5641 5642 5643 5644 5645 5646 5647 5648 570 571 573 574 5754 5755 5768"
    " 5771 5772 5773 5776 5971 5973 5975 5978",
    "RP": "2228 26 2741 2742 2743 2744 2745 2747 613 6215 6216 62195 62196 62199 623 624 63 6430 6432 6435 6439 6485"
    " 6486 65 67 727",
    "HE": "277 5542 5544 5574 56 60 61 6134 6204 6206 6207 6209 6229 6245 625 6272 6275 6276 64 66 6722 6723 6726"
    " 69 9742",
    "SL": "68",
    "BE": "30",
    "BB": "33 353 354 355 356 3573 3574 3575 3876 3877 3878 3879 39740 39742 39745 3984 3985 3986 3987 3988",
    "ST": "340 344 345 346 347 349 3537 3538 390 391 392 393 394",
    "SN": "341 342 343 350 351 352 357 358 359 36621 36645 37",
    "TH": "3447 3448 3449 3466 3467 36",
    "MV": "38 395 396 397 398 399",
    "HH": "40",
    "HB": "421 471",
    "SH": "41 412 415 419 43 45 46 4725 48",
    "NI": "38841 38845 4105 4108 413 414 416 417 418 42 44 47 49 50 51 5281 5285 5286 53 54 55 572 575 576 577 58 59",
    "BW": "62 70 71 72 73 74 75 76 77 78 79 8380 8395 934 9375 9377 9397",
    "BY": "602 609 6188 7300 7302 7303 7306 7307 7308 7309 7343 7950 8 9",
}
GERMANY_BOTH = {"731": ("DE-BW", "DE-BY")}  # Ulm and Neu-Ulm are one exchange
GERMANY_NOWHERE = ("700", "800", "900")  # services, not areas: the country is all that can be said

# Poland: the voivodeship of each zone's seat, and a second one if a fifth of the zone or more lives there.
POLAND = {
    "02": "71 74 75 76",
    "04": "52 54 56",
    "06": "81 82 83 84",
    "08": "68 95",
    "10": "42 43 44 46",
    "12": "12 14 18 30",
    "14": "22 23 24 25 29 48",
    "16": "77",
    "18": "13 15 16 17",
    "20": "85 86 87",
    "22": "58 59",
    "24": "32 33 34",
    "26": "41",
    "28": "55 89",
    "30": "61 62 63 65 67",
    "32": "91 94",
}
POLAND_SECOND = {"14": "18", "15": "26", "24": "10", "33": "12", "46": "14", "55": "22", "87": "28", "95": "32"}

HUNGARY = {
    "BA": "69 72 73",
    "BE": "66 68",
    "BK": "76 77 78 79",
    "BU": "1",
    "BZ": "46 47 48 49",
    "CS": "62 63",
    "FE": "22 25",
    "GS": "96 99",
    "HB": "52 54",
    "HE": "36 37",
    "JN": "56 57 59",
    "KE": "33 34",
    "NO": "32 35",
    "PE": "23 24 26 27 28 29 53",
    "SO": "82 84 85",
    "SZ": "42 44 45",
    "TO": "74 75",
    "VA": "94 95",
    "VE": "87 88 89",
    "ZA": "83 92 93",
}

# Ukraine: the oblast that ends the package's Ukrainian description.
UKRAINE = {
    "Вінниця": "05", "Волинська": "07", "Луганськ": "09", "Дніпро": "12", "Донецьк": "14", "Житомир": "18",
    "Закарпатська": "21", "Запорізька": "23", "Івано-Франківська": "26", "м. Київ": "30", "Київ": "32",
    "Кіровоград": "35", "Севастополь": "40", "Крим": "43", "Львівська": "46", "Миколаїв": "48", "Одеса": "51",
    "Полтава": "53", "Рівне": "56", "Суми": "59", "Тернопіль": "61", "Харків": "63", "Херсон": "65",
    "Хмельницький": "68", "Черкаси": "71", "Чернігів": "74", "Чернівці": "77",
}  # fmt: skip

# Russia: after the 7. The package's descriptions of 495, 496 and 498 have Moscow and its oblast exchanged.
RUSSIA = {
    "AD": "877", "AL": "388", "ALT": "385", "AMU": "416", "ARK": "818", "AST": "851", "BA": "347", "BEL": "472",
    "BRY": "483", "BU": "301", "CE": "871", "CHE": "351", "CHU": "427", "CU": "835", "DA": "872", "IN": "873",
    "IRK": "395", "IVA": "493", "KAM": "415", "KB": "866", "KC": "878", "KDA": "861 862", "KEM": "384",
    "KGD": "40", "KGN": "352", "KHA": "421", "KHM": "346", "KIR": "833", "KK": "390", "KL": "847", "KLU": "484",
    "KO": "821", "KOS": "494", "KR": "814", "KRS": "471", "KYA": "391", "LEN": "813", "LIP": "474", "MAG": "413",
    "ME": "836", "MO": "834", "MOS": "496 498", "MOW": "495 499", "MUR": "815", "NEN": "81853", "NGR": "816",
    "NIZ": "831", "NVS": "383", "OMS": "381", "ORE": "353", "ORL": "486", "PER": "342", "PNZ": "841", "PRI": "423",
    "PSK": "811", "ROS": "863", "RYA": "491", "SA": "411", "SAK": "424", "SAM": "846 848", "SAR": "845",
    "SE": "867", "SMO": "481", "SPE": "812", "STA": "865 879", "SVE": "343", "TA": "843 855", "TAM": "475",
    "TOM": "382", "TUL": "487", "TVE": "482", "TY": "394", "TYU": "345", "UD": "341", "ULY": "842", "VGG": "844",
    "VLA": "492", "VLG": "817 820", "VOR": "473", "YAN": "349", "YAR": "485", "YEV": "426", "ZAB": "302",
}  # fmt: skip
# Numbered by Russia; ISO 3166-2 lists the places under Ukraine. Both are said.
RUSSIA_AND_UKRAINE = {"36": "UA-43", "856": "UA-14", "857": "UA-09", "860": "UA-65", "869": "UA-40"}


def by_prefix(calling_code: str, country: str, table: dict[str, str]) -> dict[str, Codes]:
    return {
        calling_code + prefix: (f"{country}-{subdivision}",)
        for subdivision, prefixes in table.items()
        for prefix in prefixes.split()
    }


def ukraine() -> dict[str, Codes]:
    areas = {}
    for prefix, names in GEOCODE_DATA.items():
        if prefix.startswith("380"):
            oblast = names["uk"].replace("\u0301", "").split(", ")[-1].split("/")[-1]
            areas[prefix] = (f"UA-{UKRAINE[oblast]}",)
    # A whole two-digit area in one oblast is that oblast, unlisted exchanges included.
    for area in {prefix[:5] for prefix in areas}:
        inside = {codes for prefix, codes in areas.items() if prefix.startswith(area)}
        if len(inside) == 1:
            areas[area] = inside.pop()
    return areas


def all_areas() -> dict[str, Codes]:
    areas = by_prefix("49", "DE", GERMANY) | {"49" + prefix: codes for prefix, codes in GERMANY_BOTH.items()}
    areas |= {"49" + prefix: ("DE",) for prefix in GERMANY_NOWHERE}
    areas |= by_prefix("48", "PL", POLAND) | by_prefix("36", "HU", HUNGARY) | by_prefix("7", "RU", RUSSIA)
    areas |= {"48" + zone: (*areas["48" + zone], f"PL-{second}") for zone, second in POLAND_SECOND.items()}
    areas |= {"7" + prefix: ("RU", code) for prefix, code in RUSSIA_AND_UKRAINE.items()}
    return compact(areas | ukraine())


def longest(areas: dict[str, Codes], digits: str) -> Codes | None:
    return next((areas[digits[:end]] for end in range(len(digits), 0, -1) if digits[:end] in areas), None)


def compact(areas: dict[str, Codes]) -> dict[str, Codes]:
    """Without the prefixes that say what a shorter one says already."""
    return {prefix: codes for prefix, codes in sorted(areas.items()) if longest(areas, prefix[:-1]) != codes}


def countries() -> dict[str, Codes]:
    """The country of every calling code; where several share one, of every range of theirs."""
    found: dict[str, Codes] = {}
    for calling_code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        if regions[0] != "001":  # international services are nobody's
            found[str(calling_code)] = (regions[0],)
        if len(regions) > 1:
            ranges: dict[str, Codes] = {}
            split(calling_code, "", ranges)
            found |= joined(ranges)
    return compact(found)


def joined(ranges: dict[str, Codes]) -> dict[str, Codes]:
    """With one prefix for all ranges that differ in their last digits only."""
    for length in range(max(map(len, ranges)), 2, -1):
        for parent in {prefix[: length - 1] for prefix in ranges if len(prefix) == length}:
            inside = [prefix for prefix in ranges if prefix.startswith(parent)]
            if len({ranges[prefix] for prefix in inside}) == 1:
                codes = ranges[inside[0]]
                for prefix in inside:
                    del ranges[prefix]
                ranges[parent] = codes
    return ranges


def split(calling_code: int, prefix: str, found: dict[str, Codes]) -> None:
    """Files the ranges under `prefix` by country, digit by digit until a range has one. Four digits are always looked
    at: the islands' ranges are too small to be met by chance in a wider one."""
    regions = {region for number in samples(prefix) if (region := region_of(calling_code, number))}
    if len(regions) == 1 and len(prefix) >= 4:
        found[f"{calling_code}{prefix}"] = (regions.pop(),)
    elif len(prefix) < 4 or (regions and len(prefix) < 6):
        for digit in "0123456789":
            split(calling_code, prefix + digit, found)


@cache
def samples(prefix: str) -> list[str]:
    """Numbers that begin with `prefix`, of all lengths; the same ones at every run."""
    chance = random.Random(prefix)
    tails = [digit * 12 for digit in "0123456789"] + ["2345678901"]
    tails += ["".join(chance.choices("0123456789", k=12)) for _ in range(30)]
    return [(prefix + tail)[:length] for length in range(max(4, len(prefix) + 1), 12) for tail in tails]


def region_of(calling_code: int, national: str) -> str | None:
    for region, leading, valid in patterns(calling_code):
        if leading is not None:
            if leading.match(national):
                return region
        elif valid.fullmatch(national):
            return region
    return None


@cache
def patterns(calling_code: int) -> list[tuple[str, re.Pattern[str] | None, re.Pattern[str]]]:
    """How to tell the countries of one calling code apart, in the order that counts."""
    found = []
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[calling_code]:
        metadata = PhoneMetadata.metadata_for_region(region)
        leading = re.compile(metadata.leading_digits) if metadata.leading_digits else None
        found.append((region, leading, validity((region,))))
    return found


def missing(areas: dict[str, Codes]) -> list[str]:
    """Area codes of the package that no table places."""
    wanted = [prefix for prefix in GEOCODE_DATA if prefix.startswith(("48", "36", "49", "380"))]
    wanted += [prefix for prefix in GEOCODE_DATA if prefix[:2] in ("73", "74", "78") and prefix != "733"]  # Baikonur
    return [prefix for prefix in wanted if longest(areas, prefix) is None]


def write(name: str, what: str, table: dict[str, Codes]) -> None:
    lines = [
        f"# {what}",
        f"# Source: libphonenumber's metadata in the Python package phonenumbers {phonenumbers.__version__}"
        f" (Apache-2.0), tools/make_regions.py, {date.today()}",
        "prefix,code",
    ]
    lines += [f"{prefix},{code}" for prefix, codes in sorted(table.items()) for code in codes]
    (DATA / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    areas = all_areas()
    if "--list" in sys.argv:
        for prefix, names in sorted(GEOCODE_DATA.items()):
            if (codes := longest(areas, prefix)) is not None:
                print(prefix, " ".join(codes), names.get("de") or names.get("en") or names.get("ru"), sep="\t")
        return
    if without := missing(areas):
        sys.exit(f"no subdivision for {', '.join(without)}")
    write("areas.csv", "Subdivisions (ISO 3166-2) of area codes: the longest prefix counts, all its rows", areas)
    write("countries.csv", "Countries (ISO 3166-1) of calling codes: the longest prefix counts", countries())


if __name__ == "__main__":
    main()
