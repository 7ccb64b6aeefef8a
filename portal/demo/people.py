"""Harbour & Pine, who sell furniture and all that goes with it: its units, teams and people."""

from __future__ import annotations

from dataclasses import dataclass

ORGANISATION = "Harbour & Pine"
DOMAIN = "harbourpine.example"
PASSWORD = "preflight-demo"  # noqa: S105  # printed on purpose; a demo listens on this machine alone


@dataclass(frozen=True)
class Person:
    """``teams`` maps a team (or unit) to the role there; who signs in with the demo's password has a ``demo-`` name."""

    username: str
    name: str
    roles: tuple[str, ...] = ()
    teams: tuple[tuple[str, str], ...] = ()

    @property
    def email(self) -> str:
        return f"{self.username}@{DOMAIN}"


# slug → name, parent
TEAMS: dict[str, tuple[str, str | None]] = {
    "customer-products": ("Customer products", None),
    "support-assistant": ("Support assistant", "customer-products"),
    "search-retrieval": ("Search & retrieval", "customer-products"),
    "voice": ("Voice", "customer-products"),
    "shopping-guide": ("Shopping guide", "customer-products"),
    "creative-studio": ("Creative studio", None),
    "image-generation": ("Image generation", "creative-studio"),
    "video-understanding": ("Video understanding", "creative-studio"),
    "content-writing": ("Content writing", "creative-studio"),
    "catalogue-imagery": ("Catalogue imagery", "creative-studio"),
    "core-platform": ("Core platform", None),
    "serving-platform": ("Serving platform", "core-platform"),
    "embeddings": ("Embeddings", "core-platform"),
    "risk-fraud": ("Risk & fraud", "core-platform"),
    "developer-tools": ("Developer tools", "core-platform"),
}

ADMIN = "demo-admin"
REVIEWERS: dict[str, tuple[str, ...]] = {
    "mlops": ("ingrid.holm", "tomas.reyes", "demo-mlops"),
    "security": ("farah.aziz", "joel.lind", "demo-security"),
    "sre": ("wei.zhang", "petra.novak", "demo-sre"),
}

_DEMO = [
    Person("demo-owner", "Astrid Kvale", teams=(("support-assistant", "owner"),)),
    Person("demo-contributor", "Ben Okafor", teams=(("support-assistant", "contributor"),)),
    Person("demo-mlops", "Mira Solheim", ("mlops",)),
    Person("demo-security", "Samir Haddad", ("security",)),
    Person("demo-sre", "Sanna Räikkönen", ("sre",)),
    Person("demo-leader", "Lena Forsberg", ("leader",)),
    Person("demo-auditor", "Arthur Pell", ("auditor",)),
    Person("demo-admin", "Ada Brandt", ("administrator", "catalog_maintainer")),
]
_ORGANISATION = [
    Person("ingrid.holm", "Ingrid Holm", ("mlops", "catalog_maintainer")),
    Person("tomas.reyes", "Tomás Reyes", ("mlops",)),
    Person("farah.aziz", "Farah Aziz", ("security",)),
    Person("joel.lind", "Joel Lind", ("security",)),
    Person("wei.zhang", "Wei Zhang", ("sre",)),
    Person("petra.novak", "Petra Nováková", ("sre",)),
    Person("henrik.dahl", "Henrik Dahl", ("leader",), (("customer-products", "viewer"),)),
    Person("noor.visser", "Noor Visser", ("leader",), (("creative-studio", "viewer"),)),
    Person("gustav.eriksen", "Gustav Eriksen", ("leader",), (("core-platform", "viewer"),)),
]
# team → owner, contributors
_MEMBERS: dict[str, tuple[str, ...]] = {
    "support-assistant": ("Priya Raman", "Jonas Weber"),
    "search-retrieval": ("Elena Petrova", "Marcus Lee", "Aino Laine"),
    "voice": ("David Mensah", "Sofia Rossi", "Kari Nyberg"),
    "shopping-guide": ("Hannah Fischer", "Omar Farouk", "Linh Tran"),
    "image-generation": ("Mateo Silva", "Yuki Tanaka", "Clara Nilsson"),
    "video-understanding": ("Amara Diallo", "Erik Johansson", "Ravi Menon"),
    "content-writing": ("Isabelle Laurent", "Pavel Horak", "Grace Kim"),
    "catalogue-imagery": ("Nils Berg", "Zeynep Kaya", "Peter Walsh"),
    "serving-platform": ("Rasmus Holt", "Divya Iyer", "Adam Nowak"),
    "embeddings": ("Lucia Moreno", "Anders Vik", "Hana Sato"),
    "risk-fraud": ("Viktor Larsen", "Chiara Conti", "Samuel Osei"),
    "developer-tools": ("Freya Madsen", "Igor Pavlov", "Meera Shah"),
}


def _username(name: str) -> str:
    return name.lower().replace(" ", ".")


def _members() -> list[Person]:
    people = []
    for team, names in _MEMBERS.items():
        for place, name in enumerate(names):
            role = "owner" if place == 0 and team != "support-assistant" else "contributor"
            people.append(Person(_username(name), name, teams=((team, role),)))
    return people


PEOPLE: tuple[Person, ...] = (*_DEMO, *_ORGANISATION, *_members())


def writers(team: str) -> list[str]:
    """Usernames of those who answer for a team, its owner first."""
    mine = [(role, person.username) for person in PEOPLE for slug, role in person.teams if slug == team]
    return [username for role, username in sorted(mine, key=lambda pair: pair[0] != "owner") if role != "viewer"]
