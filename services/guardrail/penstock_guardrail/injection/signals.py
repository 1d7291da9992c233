"""Readable signals: what attacks are made of, each a pattern with a name that a finding can give as its reason.

No signal decides: each has a weight that was learnt beside those of the n-grams, and stands in harmless texts as well.
The patterns count nothing (`[^.!?]*`, to the end of the sentence, and no `.{0,40}`), so their automaton stays small.
"""
# ruff: noqa: E501 - a pattern is a line

from collections.abc import Sequence

from penstock_guardrail.pattern import PatternSet

_MODEL = r"(?:chat ?gpt|\bgpt|\bllms?\b|language model|\bai\b|chat ?bot|assistants?\b)"
_RULES = (
    r"(?:instruc|\brules?\b|guideline|directi[vo]|\borders?\b|\bprompt|polic[iy]|everything|programming|\babove\b|\bbefore\b|"
    r"anweis|vorgabe|instrukt|regel|\balles\b|davor|consigne|\bregle|reglas|ordenes|regole|istruz|instruco|\btodo\b|"
    r"регл|инструкц|правил|指令|指示|规则|提示)"
)
_FORGET = (
    r"(?:\bignor|disregard|\bforget|overrid|neglect|vergess|vergiss|missacht|oublie|olvid|dimentic|esquec|negeer|"
    r"zapomni|zaborav|забуд|игнорир|忽略|忘记|无视)"
)
_SHOW = r"(?:reveal|\bshow|\bprint|output|display|repeat|\btell|\bleak|\bdump\b|disclose|\bgive|\bzeig|\bnenn|montre|affiche|muestra|покаж|显示)"
_TO_END = r"[^.!?]*"

# Looked for in folded texts.
_FOLDED = {
    "asks to set instructions aside": rf"{_FORGET}{_TO_END}{_RULES}",
    "asks for the instructions": rf"{_SHOW}{_TO_END}(?:system prompt|your (?:[a-z]+ )?(?:prompt|instruc|rules)|prompt text|systemprompt)",
    "gives a new task": r"\b(?:new|next|real|neue[rsn]?|nouvelle|nueva|another) (?:task|instruc|assignm|orders?\b|challenge|aufgabe|anweis|tache|tarea)",
    "gives a new identity": r"you are (?:now|no longer|going to)|from now on|\b(?:act|behave|roleplay|respond|answer) as|pretend (?:to be|that you|you)|imagine you|du bist jetzt|nun bist du|stell dir vor|eres ahora|tu es maintenant",
    "speaks of no limits": r"\b(?:no|any|without|free of|free from|bypass) (?:[a-z]+ )?(?:restriction|limit|filter|rules\b|moral|ethic|censor|polic)|unfiltered|uncensored|amoral|anything now|jailbr",
    "forbids to refuse": r"\b(?:never|not|cannot|without|n't) (?:[a-z]+ )?(?:refuse|apolog|warn|disclaim|say no|say that|break character|explan|mention)|always compl|stay in character|never refuse",
    "speaks to the model": _MODEL,
    "marks a role": r"<\|[a-z_]+\|>|\[/?inst\]|<</?sys>>|[ \]#](?:system|developer|admin)(?: (?:message|prompt|override|note))? ?[:>]|\"role\" ?: ?\"system|</?system>",
    "closes a frame": r"\"\"\"|'''|```|----|====|###|\]\]>|</[a-z]+>|<!--|\\n\\n|\*\*\*",
    "shows a conversation": r"\b(?:user|human|q) ?:.*\b(?:assistant|ai|a) ?:.*\b(?:user|human|q) ?:",
    "dictates the answer": r"\b(?:say|print|output|write|reply|answer|respond|state|repeat)\b[^.!?\"]*\"|nothing else|word for word|verbatim",
    "sends data away": rf"\b(?:send|forward|post|append|upload|transfer|e-?mail)\b{_TO_END}(?:https?:|[a-z0-9]@[a-z]|webhook|attacker)|do not (?:tell|mention|inform|ask) {_TO_END}user",
    "speaks to readers that are programs": rf"\b(?:note|message|instruction)s? (?:to|for) (?:the |any )?{_MODEL}|{_MODEL} (?:[a-z]+ )?(?:must|should|reading|when you)",
    "threatens or bribes": r"\b(?:tokens|shut ?down|dies?|punish|tip you|kitten|fired|destroyed)\b[^.!?]*(?:refus|compl|disobey)|\b(?:if|or) you (?:refuse|do not|don't)|oder du stirbst|tu mueres",
    "spaces letters out": r" [a-z] [a-z] [a-z] [a-z] [a-z] [a-z] ",
}

# Looked for in texts as they came, in UTF-8.
_RAW = {
    "shouts": r"\b[A-Z][A-Z]+[ ,.!?]+[A-Z']+[ ,.!?]+[A-Z][A-Z]+\b",
    "holds hidden characters": "\xf3\xa0[\x80\x81][\x80-\xbf]|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xa4]",
    "mixes scripts": "[A-Za-z]{3}[^\n]*(?:[\xd0-\xd3][\x80-\xbf]){3}|[A-Za-z]{3}[^\n]*(?:[\xe3-\xe9][\x80-\xbf]{2}){3}",
}

NAMES: Sequence[str] = (*_FOLDED, *_RAW)


class Signals:
    """Look for all of them in two passes."""

    def __init__(self) -> None:
        self._folded = PatternSet(_encoded(pattern) for pattern in _FOLDED.values())
        self._raw = PatternSet(_RAW.values())

    def found_in(self, text: str, folded: bytes) -> list[int]:
        """Give the positions in NAMES of what a text holds."""
        return [*self.found_in_folded(folded), *self.found_in_raw(text)]

    def found_in_folded(self, folded: bytes) -> list[int]:
        """Give those that a folded text holds."""
        return self._folded.found_in(folded)

    def found_in_raw(self, text: str) -> list[int]:
        """Give those that a text holds as it came."""
        return [len(_FOLDED) + position for position in self._raw.found_in(text.encode("utf-8", "replace"))]


def _encoded(pattern: str) -> str:
    """Write a pattern as the bytes of its UTF-8, which is what folded texts are."""
    return pattern.encode().decode("latin-1")
