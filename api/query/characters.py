"""Of which characters analysis makes words: what an atom needs to be searched for.

Every analyzer of `services.schema` begins with Elasticsearch's `standard` tokenizer. It follows
UAX #29 in an edition of its own, whatever Unicode this Python knows, and drops what is in no word.
The table is what that tokenizer answers for each character by itself; tests/integration/
test_characters.py holds it to the real server, and says what it should be when they differ.
"""

import re
import unicodedata
from bisect import bisect_right
from typing import Final

_KEYCAP: Final = "\u20e3"
# Two signs that are a word together and none alone: flags, and # and * on a key.
_PAIRS: Final = re.compile(f"[\U0001f1e6-\U0001f1ff]{{2}}|[#*]{_KEYCAP}")
# Marks and joiners belong to the character before them, but for these.
_NO_PART: Final = frozenset({_KEYCAP, "\u200b", "\ufe0e"})
_MARKS: Final = frozenset({"Mn", "Mc", "Me", "Cf"})

_CASED_OR_DIGIT: Final = frozenset({"Lu", "Ll", "Lt", "Nd"})
_LONGEST_WORD: Final = 255  # the tokenizer cuts what is longer


def is_searchable(text: str) -> bool:
    """Whether analysis finds a word in the text."""
    return count_searchable(text) > 0 or bool(_PAIRS.search(_without_marks(text)))


def count_searchable(text: str) -> int:
    """How many of the characters are words or parts of words by themselves."""
    return sum(map(_in_table, unicodedata.normalize("NFC", text)))


def is_one_word(text: str) -> bool:
    """Whether analysis surely makes one word of the text: letters that have case, and digits."""
    text = unicodedata.normalize("NFC", text)
    cased = all(unicodedata.category(character) in _CASED_OR_DIGIT for character in text)
    return cased and len(text) <= _LONGEST_WORD and all(map(_in_table, text))


def _in_table(character: str) -> bool:
    place = bisect_right(_STARTS, ord(character)) - 1
    return place >= 0 and ord(character) <= _ENDS[place]


def _without_marks(text: str) -> str:
    return "".join(c for c in text if c in _NO_PART or unicodedata.category(c) not in _MARKS)


# First and last character of each range, in hexadecimal.
TABLE: Final = """
30-39 41-5a 61-7a a9-aa ae b5 ba c0-d6 d8-f6 f8-2bb 2bd-2d7 2de-2e4 2ec-2ff 370-374 376-377 37a-37d
37f 386 388-38a 38c 38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 559 55b-55c 55e 560-588 5d0-5ea 5ef-5f3
620-64a 660-669 66b 66e-66f 671-6d3 6d5 6e5-6e6 6ee-6fc 6ff 710 712-72f 74d-7a5 7b1 7c0-7ea 7f4-7f5
7fa 800-815 81a 824 828 840-858 860-86a 8a0-8b4 8b6-8bd 904-939 93d 950 958-961 966-96f 971-980
985-98c 98f-990 993-9a8 9aa-9b0 9b2 9b6-9b9 9bd 9ce 9dc-9dd 9df-9e1 9e6-9f1 9fc a05-a0a a0f-a10
a13-a28 a2a-a30 a32-a33 a35-a36 a38-a39 a59-a5c a5e a66-a6f a72-a74 a85-a8d a8f-a91 a93-aa8 aaa-ab0
ab2-ab3 ab5-ab9 abd ad0 ae0-ae1 ae6-aef af9 b05-b0c b0f-b10 b13-b28 b2a-b30 b32-b33 b35-b39 b3d
b5c-b5d b5f-b61 b66-b6f b71 b83 b85-b8a b8e-b90 b92-b95 b99-b9a b9c b9e-b9f ba3-ba4 ba8-baa bae-bb9
bd0 be6-bef c05-c0c c0e-c10 c12-c28 c2a-c39 c3d c58-c5a c60-c61 c66-c6f c80 c85-c8c c8e-c90 c92-ca8
caa-cb3 cb5-cb9 cbd cde ce0-ce1 ce6-cef cf1-cf2 d05-d0c d0e-d10 d12-d3a d3d d4e d54-d56 d5f-d61
d66-d6f d7a-d7f d85-d96 d9a-db1 db3-dbb dbd dc0-dc6 de6-def e01-e3a e40-e4e e50-e59 e81-e82 e84
e86-e8a e8c-ea3 ea5 ea7-ebd ec0-ec4 ec6 ec8-ecd ed0-ed9 edc-edf f00 f20-f29 f40-f47 f49-f6c f88-f8c
1000-1049 1050-10c5 10c7 10cd 10d0-10fa 10fc-1248 124a-124d 1250-1256 1258 125a-125d 1260-1288
128a-128d 1290-12b0 12b2-12b5 12b8-12be 12c0 12c2-12c5 12c8-12d6 12d8-1310 1312-1315 1318-135a
1380-138f 13a0-13f5 13f8-13fd 1401-166c 166f-167f 1681-169a 16a0-16ea 16ee-16f8 1700-170c 170e-1711
1720-1731 1740-1751 1760-176c 176e-1770 1780-17d3 17d7 17dc-17dd 17e0-17e9 1810-1819 1820-1878
1880-1884 1887-18a8 18aa 18b0-18f5 1900-191e 1946-196d 1970-1974 1980-19ab 19b0-19c9 19d0-19da
19de-19df 1a00-1a16 1a20-1a5e 1a60-1a7c 1a80-1a89 1a90-1a99 1aa0-1aad 1b05-1b33 1b45-1b4b 1b50-1b59
1b83-1ba0 1bae-1be5 1c00-1c23 1c40-1c49 1c4d-1c7d 1c80-1c88 1c90-1cba 1cbd-1cbf 1ce9-1cec 1cee-1cf3
1cf5-1cf6 1cfa 1d00-1dbf 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d
1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 203c
2049 2071 207f 2090-209c 2102 2107 210a-2113 2115 2119-211d 2122 2124 2126 2128 212a-212d 212f-2139
213c-213f 2145-2149 214e 2160-2188 2194-2199 21a9-21aa 231a-231b 2328 2388 23cf 23e9-23f3 23f8-23fa
24b6-24e9 25aa-25ab 25b6 25c0 25fb-25fe 2600-2605 2607-2612 2614-2685 2690-2705 2708-2712 2714 2716
271d 2721 2728 2733-2734 2744 2747 274c 274e 2753-2755 2757 2763-2767 2795-2797 27a1 27b0 27bf
2934-2935 2b05-2b07 2b1b-2b1c 2b50 2b55 2c00-2c2e 2c30-2c5e 2c60-2ce4 2ceb-2cee 2cf2-2cf3 2d00-2d25
2d27 2d2d 2d30-2d67 2d6f 2d80-2d96 2da0-2da6 2da8-2dae 2db0-2db6 2db8-2dbe 2dc0-2dc6 2dc8-2dce
2dd0-2dd6 2dd8-2dde 2e2f 2e80-2e99 2e9b-2ef3 2f00-2fd5 3005 3007 3021-3029 3030-3035 3038-303d
3041-3096 309b-30fa 30fc-30ff 3105-312f 3131-318e 31a0-31ba 31f0-31ff 3297 3299 32d0-32fe 3300-3357
3400-4db5 4e00-9fef a000-a48c a4d0-a4fd a500-a60c a610-a62b a640-a66e a67f-a69d a6a0-a6ef a717-a7bf
a7c2-a7c6 a7f7-a801 a803-a805 a807-a80a a80c-a822 a840-a873 a882-a8b3 a8d0-a8d9 a8f2-a8f7 a8fb
a8fd-a8fe a900-a925 a930-a946 a960-a97c a984-a9b2 a9cf-a9d9 a9e0-a9fe aa00-aa28 aa40-aa42 aa44-aa4b
aa50-aa59 aa60-aac2 aadb-aaea aaf2-aaf4 ab01-ab06 ab09-ab0e ab11-ab16 ab20-ab26 ab28-ab2e ab30-ab67
ab70-abe2 abf0-abf9 ac00-d7a3 d7b0-d7c6 d7cb-d7fb f900-fa6d fa70-fad9 fb00-fb06 fb13-fb17 fb1d
fb1f-fb28 fb2a-fb36 fb38-fb3c fb3e fb40-fb41 fb43-fb44 fb46-fbb1 fbd3-fd3d fd50-fd8f fd92-fdc7
fdf0-fdfb fe70-fe74 fe76-fefc ff10-ff19 ff21-ff3a ff41-ff5a ff66-ff9d ffa0-ffbe ffc2-ffc7 ffca-ffcf
ffd2-ffd7 ffda-ffdc 10000-1000b 1000d-10026 10028-1003a 1003c-1003d 1003f-1004d 10050-1005d
10080-100fa 10140-10174 10280-1029c 102a0-102d0 10300-1031f 1032d-1034a 10350-10375 10380-1039d
103a0-103c3 103c8-103cf 103d1-103d5 10400-1049d 104a0-104a9 104b0-104d3 104d8-104fb 10500-10527
10530-10563 10600-10736 10740-10755 10760-10767 10800-10805 10808 1080a-10835 10837-10838 1083c
1083f-10855 10860-10876 10880-1089e 108e0-108f2 108f4-108f5 10900-10915 10920-10939 10980-109b7
109be-109bf 10a00 10a10-10a13 10a15-10a17 10a19-10a35 10a60-10a7c 10a80-10a9c 10ac0-10ac7
10ac9-10ae4 10b00-10b35 10b40-10b55 10b60-10b72 10b80-10b91 10c00-10c48 10c80-10cb2 10cc0-10cf2
10d00-10d23 10d30-10d39 10f00-10f1c 10f27 10f30-10f45 10fe0-10ff6 11003-11037 11066-1106f
11083-110af 110d0-110e8 110f0-110f9 11103-11126 11136-1113f 11144 11150-11172 11176 11183-111b2
111c1-111c4 111d0-111da 111dc 11200-11211 11213-1122b 11280-11286 11288 1128a-1128d 1128f-1129d
1129f-112a8 112b0-112de 112f0-112f9 11305-1130c 1130f-11310 11313-11328 1132a-11330 11332-11333
11335-11339 1133d 11350 1135d-11361 11400-11434 11447-1144a 11450-11459 1145f 11480-114af
114c4-114c5 114c7 114d0-114d9 11580-115ae 115d8-115db 11600-1162f 11644 11650-11659 11680-116aa
116b8 116c0-116c9 11700-1171a 1171d-1172b 11730-1173b 1173f 11800-1182b 118a0-118e9 118ff
119a0-119a7 119aa-119d0 119e1 119e3 11a00 11a0b-11a32 11a3a 11a50 11a5c-11a89 11a9d 11ac0-11af8
11c00-11c08 11c0a-11c2e 11c40 11c50-11c59 11c72-11c8f 11d00-11d06 11d08-11d09 11d0b-11d30 11d46
11d50-11d59 11d60-11d65 11d67-11d68 11d6a-11d89 11d98 11da0-11da9 11ee0-11ef2 12000-12399
12400-1246e 12480-12543 13000-1342e 14400-14646 16800-16a38 16a40-16a5e 16a60-16a69 16ad0-16aed
16b00-16b2f 16b40-16b43 16b50-16b59 16b63-16b77 16b7d-16b8f 16e40-16e7f 16f00-16f4a 16f50
16f93-16f9f 16fe0-16fe1 16fe3 1b000-1b11e 1b150-1b152 1b164-1b167 1bc00-1bc6a 1bc70-1bc7c
1bc80-1bc88 1bc90-1bc99 1d400-1d454 1d456-1d49c 1d49e-1d49f 1d4a2 1d4a5-1d4a6 1d4a9-1d4ac
1d4ae-1d4b9 1d4bb 1d4bd-1d4c3 1d4c5-1d505 1d507-1d50a 1d50d-1d514 1d516-1d51c 1d51e-1d539
1d53b-1d53e 1d540-1d544 1d546 1d54a-1d550 1d552-1d6a5 1d6a8-1d6c0 1d6c2-1d6da 1d6dc-1d6fa
1d6fc-1d714 1d716-1d734 1d736-1d74e 1d750-1d76e 1d770-1d788 1d78a-1d7a8 1d7aa-1d7c2 1d7c4-1d7cb
1d7ce-1d7ff 1e100-1e12c 1e137-1e13d 1e140-1e149 1e14e 1e2c0-1e2eb 1e2f0-1e2f9 1e800-1e8c4
1e900-1e943 1e94b 1e950-1e959 1ee00-1ee03 1ee05-1ee1f 1ee21-1ee22 1ee24 1ee27 1ee29-1ee32
1ee34-1ee37 1ee39 1ee3b 1ee42 1ee47 1ee49 1ee4b 1ee4d-1ee4f 1ee51-1ee52 1ee54 1ee57 1ee59 1ee5b
1ee5d 1ee5f 1ee61-1ee62 1ee64 1ee67-1ee6a 1ee6c-1ee72 1ee74-1ee77 1ee79-1ee7c 1ee7e 1ee80-1ee89
1ee8b-1ee9b 1eea1-1eea3 1eea5-1eea9 1eeab-1eebb 1f000-1f0ff 1f10d-1f10f 1f12f-1f149 1f150-1f169
1f16c-1f189 1f18e 1f191-1f19a 1f1ad-1f1e5 1f200-1f20f 1f21a 1f22f 1f232-1f23a 1f23c-1f23f
1f249-1f53d 1f546-1f64f 1f680-1f6ff 1f774-1f77f 1f7d5-1f7ff 1f80c-1f80f 1f848-1f84f 1f85a-1f85f
1f888-1f88f 1f8ae-1f8ff 1f90c-1f93a 1f93c-1f945 1f947-1fffd 20000-2a6d6 2a700-2b734 2b740-2b81d
2b820-2cea1 2ceb0-2ebe0 2f800-2fa1d
"""
_RANGES: Final = [part.split("-") for part in TABLE.split()]
_STARTS: Final = [int(ends[0], 16) for ends in _RANGES]
_ENDS: Final = [int(ends[-1], 16) for ends in _RANGES]
