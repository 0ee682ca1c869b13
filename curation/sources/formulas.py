"""TeX → a line of text where it is simple enough to be read, "" otherwise."""

from __future__ import annotations

import re

_MOST_CHARACTERS = 120
_COMMAND = re.compile(r"\\([a-zA-Z]+|[^a-zA-Z])")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_STYLE = re.compile(
    r"\\(?:mathrm|mathbf|mathit|mathbb|mathcal|text|textrm|operatorname|boldsymbol|vec|hat|bar)\b\s*"
)
_SPACES = re.compile(r"\s+")
_READABLE = re.compile(r"[^\\&{}|\n]+")
_SYMBOLS = {
    "times": "×", "cdot": "·", "div": "÷", "pm": "±", "le": "≤", "leq": "≤", "ge": "≥",
    "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "equiv": "≡", "sim": "~", "infty": "∞",
    "to": "→", "rightarrow": "→", "Rightarrow": "⇒", "leftrightarrow": "↔", "in": "∈",
    "notin": "∉", "subset": "⊂", "subseteq": "⊆", "cup": "∪", "cap": "∩", "emptyset": "∅",
    "forall": "∀", "exists": "∃", "neg": "¬", "land": "∧", "lor": "∨", "wedge": "∧",
    "vee": "∨", "partial": "∂", "nabla": "∇", "sum": "∑", "prod": "∏", "int": "∫",
    "sqrt": "√", "circ": "∘", "ldots": "…", "cdots": "…", "dots": "…", "prime": "′",
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε",
    "zeta": "ζ", "eta": "η", "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ",
    "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "upsilon": "υ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π",
    "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "sin": "sin", "cos": "cos",
    "tan": "tan", "log": "log", "ln": "ln", "exp": "exp", "lim": "lim", "max": "max",
    "min": "min", "quad": " ", "left": "", "right": "", "displaystyle": "",
    ",": " ", ";": " ", ":": " ", " ": " ", "!": "", "%": "%", "$": "$",
}  # fmt: skip


def readable(tex: str) -> str:
    """Return a short formula as text ("E = mc^2", "α ≤ π/2"); "" if it has structure beyond that.

    At most 120 characters of TeX are looked at: longer ones are displays, not words of a sentence.
    """
    if len(tex) > _MOST_CHARACTERS:
        return ""
    tex = _FRACTION.sub(r"\1/\2", _STYLE.sub("", tex))
    tex = _COMMAND.sub(lambda m: _SYMBOLS.get(m[1], m[0]), tex)
    tex = tex.replace("{", "").replace("}", "").replace("<", " < ").replace(">", " > ")
    tex = _SPACES.sub(" ", tex).strip(" .")
    return tex if _READABLE.fullmatch(tex) else ""
