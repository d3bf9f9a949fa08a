"""Rules of authorization, any that Envoy takes, and accesses for them."""

from hypothesis import strategies as st

from mesh_api import config as c
from mesh_api.config import authorization as a
from mesh_proxy.authorization import Access
from mesh_proxy.protocol.http1 import Parser

WORDS = st.sampled_from(["a", "b", "/a", "/a/b", "GET", "spiffe://td/ns/n/sa/s"])
PATTERNS = [".*", "/a.*", "[ab]+", ".*/ns/n/.*", ".*/ns/n.*/.*", ".*/ns/.*n/.*", "spiffe://.*/sa/s", r"spiffe://.*\/s"]
"""Some are as Istio writes namespaces and principals."""
TEXTS = st.builds(
    c.StringMatch,
    st.sampled_from(["exact", "prefix", "suffix", "contains"]).map(c.StringMatchKind),
    WORDS,
    st.booleans(),
) | st.builds(c.StringMatch, st.just(c.StringMatchKind.REGEX), st.sampled_from(PATTERNS))
HEADERS = st.one_of(
    st.builds(
        c.HeaderMatch,
        st.sampled_from([":method", ":authority", "x-a"]),
        TEXTS,
        invert=st.booleans(),
        treat_missing_as_empty=st.booleans(),
    ),
    st.builds(c.HeaderMatch, st.just("x-a"), present=st.booleans(), invert=st.booleans()),
    st.builds(c.HeaderMatch, st.just("x-a"), range_start=st.just(1), range_end=st.integers(2, 9)),
)
CIDRS = st.sampled_from(["10.0.0.0/8", "10.0.0.1/32", "10.0.0.9/30", "0.0.0.0/0", "2001:db8::/32", "::/0"])
VALUES = st.recursive(
    TEXTS
    | st.builds(a.NullValue)
    | st.builds(a.PresentValue, st.booleans())
    | st.builds(a.BoolValue, st.booleans())
    | st.builds(a.NumberValue, st.integers(0, 3).map(float), st.none() | st.integers(4, 9).map(float)),
    lambda inner: (
        st.builds(a.ListValue, inner) | st.builds(a.AnyValueOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=3,
)
METADATA = st.builds(
    a.MetadataMatch,
    st.sampled_from([a.JWT_AUTHN, "f"]),
    st.sampled_from([("payload", "iss"), ("payload", "n"), ("payload", "l"), ("payload",), ("z",)]),
    VALUES,
    st.booleans(),
)
SHARED = st.just(a.ANYTHING) | st.builds(a.UrlPath, TEXTS) | METADATA
WHAT_BYTES = st.one_of(
    SHARED,
    st.builds(a.UriTemplate, st.sampled_from(["/a", "/*", "/**", "/a/**", "/*/b", "/**/b"])),
    st.builds(a.DestinationIp, CIDRS),
    st.builds(a.DestinationPort, st.sampled_from([80, 443])),
    st.builds(a.DestinationPortRange, st.integers(1, 80), st.integers(81, 443)),
    st.builds(a.RequestedServerName, TEXTS),
)
WHAT = WHAT_BYTES | HEADERS
WHO_BYTES = st.one_of(
    SHARED,
    st.builds(a.SourceIp, CIDRS),
    st.builds(a.DirectRemoteIp, CIDRS),
    st.builds(a.RemoteIp, CIDRS),
    st.builds(a.Authenticated, st.none() | TEXTS),
)


WHO = WHO_BYTES | HEADERS


def trees(leaves: st.SearchStrategy[a.Rule]) -> st.SearchStrategy[a.Rule]:
    """Rules of these leaves, joined in every way."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(a.Not, inner)
            | st.builds(a.AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
            | st.builds(a.AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
        ),
        max_leaves=6,
    )


def _some(rules: st.SearchStrategy[a.Rule]) -> st.SearchStrategy[tuple[a.Rule, ...]]:
    return st.lists(rules, min_size=1, max_size=2).map(tuple)


def rbacs(what: st.SearchStrategy[a.Rule], who: st.SearchStrategy[a.Rule]) -> st.SearchStrategy[a.Rbac]:
    """Rules of these leaves."""
    policy = st.builds(a.RbacPolicy, st.sampled_from("abcd"), _some(trees(what)), _some(trees(who)))
    policies = st.lists(policy, max_size=3, unique_by=lambda found: found.name)
    return st.builds(a.Rbac, st.sampled_from(a.RbacAction), policies.map(_sorted))


def _sorted(policies: list[a.RbacPolicy]) -> tuple[a.RbacPolicy, ...]:
    return tuple(sorted(policies, key=lambda policy: policy.name))


RULES, RULES_BYTES = rbacs(WHAT, WHO), rbacs(WHAT_BYTES, WHO_BYTES)
PREFIXES = st.sampled_from(["", "istio_dry_run_allow_"])
HTTP_RBAC = st.builds(a.RbacFilter, st.none() | RULES, st.none() | RULES, PREFIXES, PREFIXES)
NETWORK_RBAC = st.builds(
    a.NetworkRbac, st.sampled_from(["tcp.", "a"]), st.none() | RULES_BYTES, st.none() | RULES_BYTES, PREFIXES
)

HEADS = st.builds(
    lambda method, path, host, lines: (
        f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n" + "".join(f"x-a: {value}\r\n" for value in lines)
    ).rstrip("\r\n"),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/", "/a", "/a/b", "/b", "/a//b"]),
    st.sampled_from(["a", "A", "b:80"]),
    st.lists(st.sampled_from(["a", "b", "5", ""]), max_size=2),
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={"iss": WORDS, "n": st.none() | st.booleans() | st.integers(0, 9), "l": st.lists(WORDS, max_size=2)},
)


@st.composite
def accesses(draw: st.DrawFn) -> Access:
    """Requests and connections of all kinds."""
    head = None
    if draw(st.booleans()):
        head = Parser().request(draw(HEADS).encode())
        head.path, _, head.query = head.target.partition(b"?")
    addresses = st.sampled_from([b"10.0.0.1:1", b"10.0.0.2:5", b"192.0.2.1:7", b"[2001:db8::1]:9", b"unix:0", b""])
    return Access(
        head,
        draw(addresses),
        draw(st.sampled_from([("10.0.0.1", 80), ("2001:db8::1", 443), ("unix", 0)])),
        remote=draw(st.none() | addresses),
        server_name=draw(st.sampled_from([b"", b"a", b"/a"])),
        principals=draw(
            st.sampled_from([None, (b"",), (b"spiffe://td/ns/n/sa/s",), (b"spiffe://td/ns/x/n/sa/s", b"a")])
        ),
        metadata=draw(st.just({}) | CLAIMS.map(lambda claims: {a.JWT_AUTHN: {"payload": claims}})),
    )
