"""The words by which texts name an option, rule one out, or take back what they said.

Part of the `strict` answer rules (`harness/scoring/answers/choice.py`). English, Chinese, the commonest Japanese and
Korean. All patterns are linear: bounded repetitions of alternatives that start differently. Comments quote texts of the
tests' tables that the alternatives below them read; words beside those mean the same and are there by likeness.
"""

from __future__ import annotations

import re
from typing import Final

from harness.scoring.answers.retractions import RETRACTING

_ADVERB: Final = (
    # "Most likely B", "It is probably B", "The answer is definitely the dog", "Clearly B.", "B. Obviously not."
    r"(?:most likely|probably|likely|presumably|definitely|certainly|clearly|obviously|surely|indeed)(?![a-z])"
)
_THINKS: Final = r"(?:i (?:think|believe) (?:that )?)?"
_LOOKING: Final = (
    # "Based on the image, 5", "Looking at the image", "According to the chart, it is 5", "From the picture".
    r"(?:(?:based on|looking at|according to|judging (?:by|from)|from|in) (?:the |this |that )?"
    r"(?:image|picture|photo|figure|diagram|chart|graph|table|map|information)[a-z ]{0,20},? )?"
)
_OPENER: Final = (
    # "So, B.", "Therefore, B", "Thus, B is correct.", "Hence, B.": words that conclude, and those that only begin.
    rf"{_LOOKING}(?:(?:so|therefore|thus|hence|finally|overall|in conclusion|ok|okay|sure|well),? ?)?{_THINKS}"
)
_ADJECTIVES: Final = (
    # "My final answer is B", "The right choice is B", "The most likely answer is B.", "Selected option: B".
    r"(?:(?:final|correct|right|best|most likely|most appropriate|most suitable|closest|chosen|selected) ){0,3}"
)
_NOUN: Final = (
    # "The answer is", "Ans: 5", "best option is", "My choice is B.", "Letter B".
    r"(?:answer|ans\.?|option|choice|letter|response|selection)(?: (?:choice|option|letter))?"
)
_LINK: Final = (
    # "The answer would be B."; "Answer: B", "ans=5", "Answer - B", "→ B".
    r"(?: ?(?:(?:is|would be|should be|must be|will be)(?![a-z])|:|=|->|→|-)){0,3}"
)
_NOUN_AGAIN: Final = rf"(?: ?{_ADVERB})?(?: ?(?:the )?(?:option|choice|letter|answer)(?![a-z]):?)?"
_SAYS: Final = rf"(?:the |my |our )?{_ADJECTIVES}{_NOUN}(?: to (?:the|this) question)?(?![a-z]){_LINK}{_NOUN_AGAIN}"
_CHOOSES: Final = (
    # "I choose B", "I pick", "I'd say B", "I would go with B.", "I choose option B."
    r"i(?:'d| would| will|'ll| think| believe){0,2} (?:choose|select|pick|say|go with|answer)(?: with)?(?![a-z]):?"
    rf"{_NOUN_AGAIN}"
)
_IT_IS: Final = (
    # What is left; "So, B.", "Choose B.", "Select B", "Pick B"; "Correct: B".
    rf"(?:which leaves|leaving)(?: only| us with)?(?![a-z])|(?:so|therefore|thus|hence|choose|select|pick"
    rf"|correct|right)(?:,|:|(?![a-z]))"
    # "Going with B", "Let's go with B", "I'd go with B"; "That's B", "That would be B".
    rf"|(?:(?:i'm |i am )?going|let's go|i(?:'d| would) go) with|that(?:'s| is| would be)(?![a-z])"
    # "Must be B", "It has to be B".
    rf"|(?:it )?(?:must|has to) be(?![a-z])"
    # "I believe B", "I think it's B."; "Definitely B".
    rf"|(?:i (?:think|believe|suppose)(?: that)?,?|{_ADVERB},?)(?: it(?:'s| is| must be)(?![a-z]))?"
    # "It would be B.", "It is probably B", "It's option B."
    rf"|it(?:'s| is| must be| should be| would be)(?![a-z])(?: {_ADVERB})?"
    r"(?: (?:the )?(?:option|choice|letter|answer)(?![a-z]))?"
)
_CHINESE_OPENER: Final = (
    # 因此，选B。 所以B正确; 故选B; 综上所述，答案是B。 由此可知选B, 由图可知，答案是B.
    r"(?:因此|所以|故|综上所述|综上|由(?:此|图|上)可[知见]),? ?"
)
_CHINESE_SAYS: Final = (
    # 我认为应该选B, 本题选B, 应选B.
    r"(?:我(?:认为|觉得)?)?(?:本题|此题|这道题|该题)?的?(?:应该|应当|应)?"
    # 【答案】, whose brackets are folded by now; 正确的是A.
    r"(?:\[(?:(?:正确|最终|参考|标准)的?)?答案\]|正确的(?=[是为])"
    # 正确答案：B, 最后答案：B, 选择B。 选B, 回答：B, 答：选B。 The Japanese 答え is read elsewhere.
    r"|(?:(?:正确|最终|最后|最佳|最合适|标准)的?)?(?:答案|选项|选择|选|回答|答(?!え)))"
    # 答案应该是B, 答案就是B, 答案便是B, 答案为B。
    r"(?:应该|应当|应|就|便|显然)?(?:是|为|选择|选)?(?:选项)? ?:?(?:选择?)?"
    # "是B", "大概是B": as weakly as "Probably B" says it.
    r"|(?:我(?:认为|觉得)?)?(?:应该|应当|大概|显然|肯定|一定)?是(?:选项)?(?=\(?[A-Z])"
)
_CHINESE_RIGHT: Final = (
    # B正确, A是对的, B符合题意.
    r"(?=\(?[A-Z]\)?(?:选?项)?是?(?:正确|对|符合题意))"
)
"""A letter that is said to be right follows."""
_CHINESE: Final = (
    # It says the answer, or a letter that is said to be right; this one only behind an opener or an "I think".
    rf"(?:(?:{_CHINESE_OPENER})?(?:{_CHINESE_SAYS})|(?:{_CHINESE_OPENER}|我(?:认为|觉得)){_CHINESE_RIGHT})"
)
ALL_BUT: Final = re.compile(
    # All the others are wrong, or none of them is right: what is left is the answer, said in a whole text.
    r"\A(?:so |therefore,? |thus,? )?(?:"
    # "Every option but B is wrong", "All choices except B are false.", "All answers but B are incorrect."
    r"(?:every|all|each|any)(?: (?:of )?the)?(?: other)?(?: (?:options?|choices?|answers?|letters?|one))?,?"
    r" (?:but|except(?: for)?|other than|besides|apart from|save) (?:for )?(?:option |choice "
    r"|answer )?(?P<kept>[^.,;!?\n]{1,80}?),?"
    r" (?:is|are|can be|were|was)(?: clearly| obviously)? (?:wrong|incorrect|false|untrue|ruled out|eliminated"
    r"|excluded|invalid)"
    # "None but B is right.", "no option but A is right".
    r"|(?:none|nothing|no (?:other )?(?:option|choice|answer|one)|no letter) (?:but|except(?: for)?|other than"
    r"|besides|apart from)"
    r" (?:option |choice |answer )?(?P<left>[^.,;!?\n]{1,80}?) (?:is|are|can be|fits|could be)"
    r"(?: (?:correct|right|true|possible|valid|the answer))?"
    # "Only B is correct."
    r"|only (?:option |choice |answer )?(?P<only>\(?[A-Z]\)?) (?:is|can be|fits|could be|seems)"
    r"(?: (?:correct|right|true|possible|valid|the answer))?"
    r")(?=[.!]?\Z)",
    re.IGNORECASE,
)
PREAMBLE: Final = re.compile(
    # Which options there are to choose from says nothing: "Of the four options, B is correct.", "Among the choices, B".
    r"\A(?:of|among|amongst|from|out of) (?:the|these|those|all)(?: (?:the|two|three|four|five|six|given|listed"
    r"|available))*"
    r" (?:options|choices|answers|alternatives)(?: (?:given|listed|above|provided|available|here))?"
    # A letter follows, or what may lead to one.
    r",? (?=\(?[A-Z]|the |it )",
    re.IGNORECASE,
)
CONTRAST: Final = re.compile(
    # What a thing is not, beside what it is: "a dog, not a cat", "B and not A", "but not always", "Definitely not B".
    r"(?:(?:,| -)? ?(?:and |but )?(?:(?:definitely|certainly|clearly) )?\bnot"
    # "It is a dog rather than a cat", "B instead of C".
    r"|,? (?:rather than|instead of"
    r"|and not|as opposed to))"
    # Up to the end of the clause: "not 2, 3" rules 2 out.
    r" (?:an? |the )?(?P<what>[^,.;:!?\n]{1,60})(?=[,.;!\n]|\Z)",
    re.IGNORECASE,
)
_JAPANESE_KOREAN: Final = (
    # 答えはB, 정답은 B.
    r"(?:正解|答え|정답|답)(?:は|은)? ?:?"
)
LEAD: Final = re.compile(
    # English: that an answer is said, that one is chosen, or, `weak`, that something is it; then the other scripts.
    rf"(?:{_OPENER}(?:{_SAYS}|{_CHOOSES}|(?P<weak>{_IT_IS}))|{_JAPANESE_KOREAN}|{_CHINESE})[ \n]?",
    re.IGNORECASE,
)
STATEMENT: Final = re.compile(
    # Chinese behind a comma, where a conclusion may begin: 因为它在叫，应该选B.
    rf"(?:(?<=[,;])|(?<=[,;] ))(?=(?:{_CHINESE_OPENER}(?:{_CHINESE_SAYS})|(?:正确|最终)?答案(?:应该)?(?:是|为|:)"
    rf"|(?:应该|应当|应|故)?选择?(?:选项)?\(?[A-Z]|{_CHINESE_RIGHT}))"
    r"(?P<concluded>)"
    # "A, C and D are wrong, so B.": a letter alone ends the text behind a word that concludes.
    r"|(?:(?<=[.!?;,\n])|(?<=[.!?;,] ))(?=(?P<remains>(?:so|therefore|thus|hence|which leaves|leaving),? "
    r"(?:only |it(?:'s| is| must be) )?\(?[A-Z]\)?[.!]?\Z))"
    # A sentence that says the answer, in English or in Chinese: "The animal is brown and barks. The answer is B."
    rf"|(?:(?<=[.!?\n])|(?<=[.!?:;,] ))(?=(?:(?P<opened>(?:so|therefore|thus|hence),? )?{_THINKS}{_SAYS})"
    rf"|{_CHINESE})",
    re.IGNORECASE,
)
CLOSING: Final = ".,;:!?)]}>\"' \n"
SAID_RIGHT: Final = re.compile(
    # "B is right", "B would be correct", "B seems correct", "B is the final answer", "B is my choice.", "B is the one".
    r"(?:(?:is|would be|seems|must be|should be)(?: the| my)?"
    r"(?: (?:correct|right|best|final|most likely|answer|option|choice|one)){1,3}"
    # Japanese and Korean end the sentence so; B正确, B为正确答案; B是本题的答案; B符合题意.
    r"|です|입니다|(?:才?[是为])?(?:正确|对)的?(?:答案|选项)?|才?[是为](?:本题|此题)?的?答案|符合题意"
    # "B ✓": the mark of a list that goes through the options.
    r"|[✓✔✅☑])[.! ]*\Z",
    re.IGNORECASE,
)
BECAUSE: Final = re.compile(
    # "Answer: A. because", "B since it barks", B，因为它是狗: behind these stands a reason.
    r"(?:because|since|due to|given that|因为|由于)(?![a-z])",
    re.IGNORECASE,
)
TAKES_BACK: Final = re.compile(
    # Negations, doubts, conditions, contrasts, and whatever else speaks about the choice rather than about the picture.
    # "not A", "neither B nor C", "B. Never".
    r"\b(?:not|no|nor|neither|never|none|nothing"
    # "B. Wrong", "B (incorrect)", "B: false".
    r"|wrong|incorrect|false|untrue|inaccurate|invalid"
    # "B. Actually, C", "5, wait, 6", "B. Sorry, C", "B. Instead A", "B. rather A".
    r"|actually|wait"
    r"|sorry|instead"
    r"|rather"
    # "B unless it meows", "Perhaps B", "Possibly B", "Could be B or something else", "B. Either".
    r"|unless|maybe|perhaps|possibly|either|or"
    # "All but B.", "B. However, the ears are long", "B, although C fits better", "except B".
    r"|but|however|although|though|yet|except"
    # "If it barks the answer is B. Otherwise the answer is A.", "Whether yes".
    r"|otherwise|else|if|whether|while|whereas"
    # "It could be B", "B might be correct", "B should be correct", "I would say so".
    r"|would|could|might|may|should|cannot|unable"
    # "B. Unlikely", "B is impossible", "I doubt B", "unsure: B?", "It is unclear", "B. Hardly.", "B. It barely fits".
    r"|unlikely|impossible|improbable|implausible|doubt\w*"
    r"|questionable|unclear|unsure|uncertain|unknown|hardly|barely|scarcely"
    # "Eliminating B", "Excluded: B", "B. Rejected", "B. Dismissed.", "Ruled out: B".
    r"|eliminat\w+|exclud\w+|reject\w+"
    r"|discard\w+"
    r"|dismiss\w+|ruled?|ruling"
    # "B. The first option is better.", "My mistake.", "B. A trap.", "B is a distractor", "Guess: B".
    r"|less|least|better|mistak\w+|error|careless|trap|distractors?|guess\w*"
    # "B. Hmm.", "uh, no", "Oops!", "B. Nope".
    r"|hmm+|uh"
    r"|oops|nope"
    # "B. Contradicted by the ears.", "B. Lacks ears.", "it fails", "B. In fact a hare.".
    r"|contra\w+|lacks?|fails?|mismatch\w*|missing|in fact|in reality"
    # "On reflection, the opposite.", "B. At first sight.", "B. On closer look it is the toy.", "More likely the toy."
    r"|(?:on|at) (?:closer|second|first|reflection)\b.{0,20}|more likely"
    # "B. Crossed out.", "B. Strike that.", "B. Skip.", "B. Random.", "B. I apologize.", "B. Refused."
    r"|crossed?|strike|skip|random\w*|apologi[sz]e"
    r"|refused?"
    # What speaks of options by that word says more about the choice: "B. The last one looks right.", "Alternative: B".
    r"|options?|choices?|answers?|alternatives?|others?|former|latter"
    r"|(?:first|second|third|fourth|fifth|last|next|previous) one)\b"
    # "B isn't right"; "B?"; "B✗".
    r"|n't\b|\?|[✗✘❌✕☒]"
    # 不能, 没有, B错, B或C, B。但不是, 除了B, 非B, 如果是狗, 可能是B; 选项 and 答案 as "options" above.
    r"|不|没|错|或|但|可是|然而|除|非|如果|否则|也许|可能|似乎|未必|难以|无法|选项|答案",
    re.IGNORECASE,
)
EXPLANATION: Final = re.compile(
    # A reason, a heading, or a sentence about the picture: a subject and, somewhere, what may be its verb; an adverb.
    # "B since it barks", "Here's why: …", "B\n\nExplanation: it barks".
    r"\W*(?:(?:because|since|as|due to|given|here(?:'s| is)|explanation|reason|reasoning|rationale|justification)\b"
    # "I count 4.", "I can see 7 cars", "as one can see".
    r"|(?:i|we|you|one) (?:can |could )?(?:see|count|observe|find|notice)\b"
    # "It barks.", "There are 5 cats", "This fails to match.", "These are the values.".
    r"|(?:the|this|that|it|there|they|he|she|its|a|an|his|her|their|both|all|these|those|in|on|from|based|looking|as"
    r"|according|at|with|each|every|only)\b[^.!?\n]{0,200}?"
    r"\b(?:is|are|was|were|has|have|had|can|do|does|did|[a-z]{2,}s|[a-z]{2,}ed)\b"
    # "That's a lie."; any other subject, but then with one of these verbs.
    r"|(?:it|there|that|this)'s\b|[a-z]+\b[^.!?\n]{0,200}?\b(?:is|are|was|were|has|have|had|can|does|do)\b"
    # An adverb alone says how sure the letter before it is.
    r"|(?:definitely|certainly|surely|sure|clearly|obviously|absolutely|probably|most likely|of course|unfortunately"
    r"|100 ?% sure|i (?:think|believe|suppose))\W*\Z"
    # The same beginnings in Chinese: 因为它在叫.
    r"|因为|由于|理由|解析|图|这|它|从|根据|该)",
    re.IGNORECASE,
)
"""Free text that explains. A word or two without a verb ("weak", "way off", "second") judge the letter instead."""
SPEAKS_OF_LETTER: Final = re.compile(
    # "B is right", "B might be correct", "B seems correct", "B looks right but isn't".
    r"(?:is|was|are|has|had|can|could|should|would|will|must|may|might|seems?|appears?|looks?|does|did|do"
    r"|cannot)(?![a-z])",
    re.IGNORECASE,
)
"""A predicate whose subject is the letter: only one that says it right names the option."""
CONFIRMS: Final = re.compile(
    # "B is the right answer", seen from behind the letter; "B. This is the correct answer because it barks."
    r"(?:\A\W*|\b(?:this|that|it|which) )is the (?:only )?(?:correct |right |best )?(?:answer|option|choice)\b",
    re.IGNORECASE,
)
RULED_OUT: Final = re.compile(
    # "neither A nor B", "B. Never"; "B. Wrong", "B (incorrect)", "B: false".
    r"\b(?:not|no|nor|neither|never|none|wrong|incorrect|false|untrue|inaccurate|invalid|irrelevant|unrelated"
    r"|cannot|without"
    # "B. Unlikely", "B is impossible"; "Eliminating B", "Excluded: B", "B. Rejected", "B. Dismissed.", "Ruled out: B".
    r"|unlikely|impossible|implausible|eliminat\w+|exclud\w+|reject\w+|discard\w+|dismiss\w+|ruled?|ruling"
    # "B. Lacks ears.", "it fails", "It contradicts the picture."; "a dog rather than a cat", "B instead of C".
    r"|lacks?|fails?"
    r"|misses|contradict\w*|rather than|unlike|instead of)\b"
    # "B isn't right"; 不是, 没有, B错, 排除B.
    r"|n't\b|不|没|错|排除|并非|无",
    re.IGNORECASE,
)
"""What a sentence about another option says when it only goes through it."""
SAYS_OTHER_RIGHT: Final = re.compile(
    # "C is also correct", "C is plausible", "The last one looks right", "The first option is better".
    r"\b(?:(?:is|are|be|also|seems?|looks?) (?:the )?(?:also )?"
    r"(?:correct|right|true|possible|valid|plausible|better|best|answer)"
    # "C fits better"; "The answer would be"; "Pick B", "I'd go with B".
    r"|fits? (?:better|best|too)|answer(?: is|:| should be| must be| would be)(?! not)(?! neither)"
    r"|choose|pick|go with)\b"
    # A是对的, B是正确的, 答案为B, 选C; not 选项, which only names one.
    r"|(?:是|才)(?:正确|对)|答案(?:应该)?(?:是|为|:)(?!错)|选(?!项)",
    re.IGNORECASE,
)
UNSURE: Final = re.compile(
    # "unsure: B", "It is unclear", "Not sure", "I don't know. B", "No idea", "Guess: B".
    r"\b(?:unsure|uncertain|unclear|not (?:sure|certain)|(?:don't|do not|doesn't|does not) know|no idea|guess\w*"
    # "Just kidding.", "Scratch that.", "Ignore that.", "I disagree.", "I doubt B", "unless I am mistaken", "Maybe B".
    r"|kidding|joking|scratch|ignore|never mind|disagree|doubt\w*|mistaken|maybe|perhaps|possibly|might"
    # "I cannot tell", "unable to see", "Cannot determine the answer, maybe B".
    r"|(?:can(?:not|'t| not)|unable to) (?:see|tell|say|know|determine|be sure|decide|answer))\b"
    # 我不确定，选B; 可能是B.
    r"|不确定|不知道|也许|可能",
    re.IGNORECASE,
)
"""What leaves a statement beside it unsaid: "I am not sure", "just kidding", "I cannot see the image"."""
UNDOES: Final = re.compile(
    # "B. Wrong", "B (incorrect)", "No, that's not correct.", "Actually it is not so."; "Eliminated: B", "B. Ruled out."
    r"\b(?:wrong|incorrect|false|untrue|invalid|not (?:correct|right|true|so)|eliminat\w+|exclud\w+|reject\w+"
    r"|ruled out"
    # "B. Unlikely", "B. Impossible.", "B. Nope"; "B. No.", "B. Never", the whole sentence.
    r"|unlikely|impossible|nope)\b|^\W*(?:no|not|never)\W*$"
    # "B✗"; B错误, B不对, B不正确, 排除B.
    r"|[✗✘❌✕☒]|错|不对|不正确|排除",
    re.IGNORECASE,
)
"""A verdict that, in a sentence without another subject, is one on the statement before it."""
ASKS_WHY: Final = re.compile(
    # "Why the others are wrong:", "Why not B?": asked of oneself, before the explanation.
    r"\W*(?:why|how|what|which)\b",
    re.IGNORECASE,
)
RETRACTS: Final = re.compile(
    # "5, wait, 6", "B. Actually, C", "B. Sorry, C", "Yes - sorry, I meant no.".
    r"\b(?:wait|actually|sorry|oops|i mean|i meant"
    # "Let me reconsider.", "Let me recheck."; "Hmm" only as a word of its own.
    r"|reconsider\w*|re-?check|re-?examin\w+|re-?think|let me (?:correct|revise|check)|hmm+|changed? my mind"
    # "B? No, C".
    r"|no, )"
    # The same in Chinese, and whole sentences that retract: "Scratch that.", "I disagree.", 更正。
    rf"|等等|重新|不对,|(?:\A\W*|[.!?;:\n。！？]\W{{0,3}}){RETRACTING}",
    re.IGNORECASE,
)
NEGATED_RIGHT: Final = re.compile(
    # "B isn't right", "B is not correct", "B is not the answer", "it is not true".
    r"\b(?:is|are|was|be)(?:n't| not| never) (?:the )?(?:correct|right|true|possible|valid|best|answer)\w*",
    re.IGNORECASE,
)
SAID_RIGHT_LAST: Final = re.compile(
    # "B is right", "B must be correct"; B正确, A是对的.
    r"\(?[A-Z]\)? ?(?:is|must be) (?:the )?(?:correct|right)\b|[A-Z]是?(?:正确|对)"
)
CONDITION: Final = re.compile(
    # "If it barks the answer is B. Otherwise the answer is A.", "B unless it meows", "It depends", "B. Either".
    r"\b(?:if|unless|otherwise|assuming|suppose|depend(?:s|ing)|either|maybe|perhaps)\b"
    # 如果是狗，答案是B，否则答案是A.
    r"|如果|否则|假如",
    re.IGNORECASE,
)
ON_THE_OTHERS: Final = re.compile(
    # "Why the others are wrong:", "other answers", "The incorrect option is B", "B is a distractor".
    r"\b(?:others?|other (?:options?|choices?|answers?)|remaining (?:options?|choices?)|distractors?"
    r"|incorrect (?:options?|choices?|answers?))\b"
    # "B. Why not B?"; the same words in Chinese.
    r"|\bwhy not\b|其他|其余",
    re.IGNORECASE,
)
"""The heading under which a text goes through the other options."""
OTHERS_OUT: Final = re.compile(
    # "All the other options are wrong, so B.": what a bare letter behind it concludes from. Not "Not all of the other".
    r"(?<!not )(?<!all of )(?<!all )\b(?:all|every one|each|both|the)(?: of)?(?: the)? "
    r"(?:others|(?:other|remaining) (?:options|choices|answers"
    r"|letters|ones|two|three))"
    # "The others are wrong: A meows.", "The other options are incorrect. Therefore B."
    r" (?:are|were|can be) (?:all |clearly |definitely )?(?:wrong|incorrect|false|impossible|ruled out|eliminated"
    r"|excluded|not (?:correct|right|possible))\b"
    # The same turned round: none of the others fits.
    r"|\b(?:none|neither) of the (?:others?|(?:other|remaining) (?:options|choices|answers|ones|two|three))"
    r" (?:fits?|match(?:es)?|is (?:right|correct|possible)|are (?:right|correct|possible)|works?)\b",
    re.IGNORECASE,
)
NEW_SENTENCE: Final = re.compile(
    # A capital behind a blank, or a mark of a list: what follows is no part of the option's text.
    r" (?:[A-Z][a-z]|[*•] )"
)
SENTENCE_END: Final = re.compile(
    # Before a blank, or before a letter of a script without blanks; a line ends a sentence too.
    r"(?<=[.!?;])(?= |[A-Z]?[^\x00-\x7f])|\n"
)
CLAUSE_END: Final = re.compile(
    # As above, and behind a comma or a colon.
    r"(?<=[.!?;:,])(?= |[A-Z]?[^\x00-\x7f])|\n"
)
"""Scripts without blanks put none after a full stop, which was folded to a point."""
FIRST_CJK: Final = "\u2e80"
OTHER_LETTER: Final = re.compile(
    # "A" and "I" before a word are an article and a pronoun, unless the word is a verb or a noun stands before them.
    # Any letter that no word follows; any but these two, also before a word ("B dog"); "(b)".
    r"(?<![A-Za-z0-9_'])([A-Z])(?![A-Za-z0-9_'])(?! [a-z])|(?<![A-Za-z0-9_'])([B-HJ-Z])(?![A-Za-z0-9_'])|\(([a-z])\)"
    # "A is correct", "A and B", "A or C".
    r"|(?<![A-Za-z0-9_'])(A)(?= (?:is|was|has|would|could|can|may|might|must|should|seems|does|doesn't"
    r"|isn't|and|or|fits)\b)"
    # "Option I", "Choice B", "answer B".
    r"|(?:[Oo]ption|[Cc]hoice|[Aa]nswer) ([A-Z])(?![A-Za-z0-9_'])"
)
