"""Know what may stand beside a number without changing it: units, currencies, words that count, say or place things.

Part of the `strict` answer rules (`harness/scoring/answers/number.py`). A short token after a number is believed to be
a unit only when it is in the table, in the case in which it is written: "5 GW" is five of them, "5 cr" is a scale
(crore), "5x" is algebra, "5 L" may be litres and "5L" lakh.
"""

from __future__ import annotations

from typing import Final


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_PREFIXES: Final = ("", *"mkMGTμunp")
_PREFIXED: Final = words("m g s W V A Hz J N Pa Ω ohm F H C T eV Wh cal mol bar Bq L l B bps bit")
_OTHERS: Final = words("""
    cm dm hm cl cL dl dL hPa kmh kph kgf cmHg mmHg ft in yd yds mi lb lbs oz pt pts qt gal tsp tbsp cc psi atm mph
    rpm fps ips dpi ppi ppm ppb px dB dBm lm lx cd rad sr deg min mins sec secs hr hrs h wk wks mo mos yr yrs yo t
    ha ac sq sqft sqm cu fl ly AU hp HP kt kts kn pH pc pcs qty ea ct cts bits bytes kb KB kB KiB MiB GiB Kb Mb Gb
    Tb Kbps am pm AM PM CE AD μ Å ℃ ℉ degC degF Mpx MP pct CNY RMB USD EUR GBP JPY INR KRW HKD AUD CAD CHF SGD TWD
    Rs rs kr bpm
""")
_UNCLEAR: Final = words("M G k B u n p P K Gs Ms Ts ks")
"""These may scale the number or be its variable, wherever they stand."""
_UNCLEAR_GLUED: Final = words("T L A H t")
"""These may be anything when no blank sets them apart."""

KNOWN_UNITS: Final = (frozenset(prefix + unit for prefix in _PREFIXES for unit in _PREFIXED) | _OTHERS) - _UNCLEAR
"""Abbreviations of units as they are written after a blank."""
GLUED_UNITS: Final = KNOWN_UNITS - _UNCLEAR_GLUED
"""The same without a blank: "5m" and "5cm", but neither "5L" (lakh?) nor "5A" (a class?)."""

SHORT_WORDS: Final = words("is in on of at as are if he we it was has had for the and but so my by")
"""Words of up to three letters or without a vowel that may follow a number and are no abbreviation."""

SPELLED_LENGTHS: Final = words("""
    unit units meter meters metre metres centimeter centimeters centimetre centimetres millimeter millimeters
    millimetre millimetres kilometer kilometers kilometre kilometres inch inches foot feet yard yards mile miles
""")
"""Lengths in words; their squares and cubes are units too: 5 units^2."""

MONTHS: Final = words("""
    january february march april may june july august september october november december jan feb mar apr jun jul aug
    sep sept oct nov dec
""")
"""Right after a number it is a day of theirs."""
PLURALS: Final = words("""
    people men women children sheep fish deer feet teeth mice geese cattle oxen percent cm mm km kg dice data media
    species aircraft police yen won yuan hertz of
""")
"""Plurals without an s, and what is the same for one and for many."""
SAID_OF_ANSWERS: Final = words("""
    answer correct right final only total number count result value sum amount sought true best most closest nearest
    missing
""")
"""What a number "is" when a sentence about it gives it for the answer: "5 is the answer", but "5 is the label"."""

LEADING_WORDS: Final = words("""
    is are was were be been being equals equal equalling makes make made gives give gave yields leaves left gets get
    got has have had contains contain includes shows show shown reads read says say said counts count counted
    counting see sees saw find finds found costs cost weighs weighed measures measured holds hold held wears needs
    need needed takes took ate eats sold sells bought buys spent scored scores won wins drew drawn draws wrote
    written owns owned uses used runs ran walked walks lists listed sits stands remain remains remaining about
    around approximately probably likely presumably definitely certainly clearly approx approx. roughly circa ca ca.
    estimated estimate only exactly precisely just also still now then total totals totalling sum average mean mode
    median answer result value number digit no. nos. amount amounts height width length the a an these those all
    both his her their its our my in since during on for with you i we they he she it there it's that's there's to
    by of at and that so thus therefore hence doubt usd eur gbp jpy inr cny rmb rs rs. hrs hours minutes km kg cm mm
    ans answer's guess c. est. nr. ad
""")
"""Words that may stand right before a number. Any other noun there names something by it: step 1, figure 5, gcd 5."""
MEASURED: Final = words("""
    value total sum count number amount answer result score average mean median mode height width length depth
    distance area volume perimeter radius diameter weight mass speed velocity rate price cost age temperature size
    angle probability percentage ratio frequency voltage current power energy force pressure time duration year
    population reading tally quantity measure magnitude product quotient estimate output income profit salary
    revenue grade mark maximum max minimum min set group row list team slope intercept capacity density thickness
    gain rise increase growth
""")
"""What is said to be "of" a number: a value of 3, but not north of 5, short of 5, a loss of 3, one half of 5."""
CHANGED: Final = words("""
    increased decreased increases decreases increase decrease rose rises fell falls dropped drops grew grows
    declined changed changes shifted differ differs differed exceeded went up down higher lower larger smaller
    taller shorter
""")
"""What is said to go "by" a number: decreased by 3, but not multiplied by 3, and not by 2020."""

COLLECTIVES: Final = words("""
    pair pairs couple couples dozen dozens doz score scores gross grand grands ream reams brace duos trio trios
    triplets triples quartet quartets tens twenties thirties forties fifties twos threes fours fives sixes sevens
    eights nines thou mil mill mille mio mia bio bil trill mld mrd tril lac lacs crores lakhs zillion tausend tsd
    millionen milliarde milliarden milliard milliards millones milhoes tusen duizend miljoen miljard hundredweight
    fold bis
    squared cubed doubled tripled trebled quadrupled halved multiplied divided added subtracted raised rounded
    negated inverted increased decreased reduced once twice thrice fewer less extra additional further another other
    others too maximum minimum max tops upwards upward onwards onward up down off shy short odd something point half
    halves thirds quarters quarter choose sin cos tan cot log exp theta alpha beta gamma delta factorial mod modulo
    binary hexadecimal hex octal ordinal nor to through thru till until by versus vs permille basis past til
    originally initially previously formerly nil love kay gees ball mega giga milli micro centi hecto deca
""")
"""Words that, right after a number, make another quantity of it: pairs, grand, doubled, fewer, too many, maximum."""

ABBREVIATED_LABELS: Final = words("""
    fig figs sec ch chap eq eqn ex p pp pg vol tab ques q art para par ver v lot ref cf vs dr mr mrs st op app neg
    max min rev ed bk eqs
""")
"""What a full stop shortens before the number that names a thing."""
REFERRED: Final = words("""
    equation equations eq eqn formula figure fig table section theorem lemma step item question problem reference ref
    see by from using via
""")
"""Before a bracket with a number in it: what is referred to by that number, as in "equation (5)" and "see (5)"."""
UNREAL: Final = words("hope wish want owe owes lost lack lacks miss missed")
"""What nobody says of a number that is there."""
PRONOUNS: Final = words("i he she it we they you who")
"""Whoever does something with a number of things: between them and the number any verb may stand."""
REACHED: Final = words("equal equals amounts amount comes adds corresponds increased decreased rose fell rounds grew")
"""What goes "to" a number."""
STANDING: Final = words("is was stands sits valued priced age estimated reading measured")
"""What stands "at" a number."""
RATE_UNITS: Final = words("day week month year hour minute second person unit item piece dozen night")
"""Words for what a number is counted per: 5/day."""
