"""Expressions of CEL, right and wrong; cel-go's verdict on each is asked for by the integration tests."""

DEPTHS = (83, 84, 124, 125, 249, 250, 251)
NESTED = (
    ("a+(", "a", ")"), ("a==(", "a", ")"), ("(", "a", "+a)"), ("a?b:", "a", ""), ("", "a", ".b"), ("a.b(", "a", ")"),
    ("", "a", "*a+a"), ("", "a", "*a==a"), ("a{b:", "a", "}"), ("[", "a", "]"), ("a[", "a", "]"), ("!(", "a", ")"),
    ("a.all(x,", "a", ")"), ("(", "a", "?b:c)"), ("a-b*c<d&&(", "a", ")"),
)  # fmt: skip
"""What is repeated before, once, and as often after: at some depth cel-go gives up."""
RIGHT = (
    'a', 'a.b', 'a.b.c()', 'has(a.b)', 'has(!!a.b)', 'has((a.b))', 'has(has(a.b))', '.has(a)', 'a.has(b)',
    'has(-5.a)', '-9223372036854775808', '- 9223372036854775808', '9223372036854775807', '1u', '0x1F', '0x1Fu',
    '-0x8000000000000000', '1e5', '.5', '1.e', '"a"', "'a'", '"""a\n"b"""', "'''a'''", 'r"\\d"', "R'\\d'", 'b"a"',
    'br"a"', '"\\u0041"', '"\\U0010ffff"', '"\\x41\\101"', '""""""', 'true', 'false', 'null', 'a in b', 'a.as',
    'as{}', 'a.as()', 'a{b:1}', 'a.b{c:1,}', 'a{,}', 'a{}', 'a{`x.y`:1}', 'a.`x.y`', '[]', '[,]', '[1,]', '{}', '{,}',
    '{1:2,}', '{a:b,c:d}', 'a[b]', 'f()', 'f(a,b)', 'a?b:c', 'a?b:c?d:e', 'a?(b?c:d):e', '!a', '!!a', '-a', '!-5',
    '-5', '--5', 'a.all(x,x>1)', 'a.all((x),true)', 'a.all(.x,true)', 'a.all(x)', 'a.all(x,y,z)', 'a.exists(x,y)',
    'a.existsOne(1,y)', 'a.map(x,y)', 'a.map(x,y,z)', 'a.filter(x,y)', 'all(1,2)', 'a && b || c', 'a == b == c',
    'a < b', 'a // x', 'a//b\n+c', 'response.code >= 400', "request.headers['x']", '"\xe9"', '.a', '.a.b{}', '.1',
    '5.a', '5u.a', '"x".size()', '[1].size()', '{}.a', 'a\x0c+b', 'a.b{c:1}.d', '1 - -1', '1--1', '1---1', 'a%b*c/d',
    'a in [1] in b', 'map(1)', 'a.b(c).d[e].f', '"\\`\\?"', 'r"\\"', 'r"""a\\"""', "b'\\377'", 'b"\\xff"', 'b"\xe9"',
    '1U', '00', '007', 'a.b.c.d.e(f,g,h)', '-(a)', '-(-5)', '!(a)', '!(!a)', '-"a"', '--a.b', 'has(--a.b)',
    'has(a.b,c)', 'has()', 'has(a.`b-c`)', 'a.all(x, x in [1,2,])', '"\\\\"', "'\\''", '"\\\'"', 'a.package',
    'a.namespace{b:1}', 'null.a', 'true.a',
)  # fmt: skip
"""Expressions."""
WRONG = (
    'has(a)', '--9223372036854775808', '9223372036854775808', '5-9223372036854775808', '18446744073709551616u', '0x',
    '1e400', '1.', '5.5.5', 'rb"a"', 'b"\\u0041"', '"\\ud800"', '"\\U00110000"', '"\\8"', '"\\400"', '"a\nb"',
    '"""a"', 'a.true', 'a.in', 'in', 'as', 'as()', 'a{"x":1}', 'a.`x`()', '`a`', '[1,,]', '{?a:b}', '[?a]', 'a.?b',
    'a[?b]', 'f(a,)', 'a?b?c:d:e', '!-a', '-!a', '!--5', 'a.all(x.y,true)', 'a.all(__result__,true)', 'a.exists(1,y)',
    'a.exists_one(1,y)', 'a.map(1,y)', 'a.map(1,y,z)', 'a.filter(1,y)', 'a &&', '&& a', 'a <', '// x', '', '   ',
    'response.code >=', '(a', 'a)', '()', 'a b', 'a"b"', 'a=b', 'a;b', 'a$', '\xe9', '(a).b{}', 'a[0].b{}', '..a',
    'a.1', 'a.b.1', 'a\tb', 'a\x0b+b', 'a\xa0+b', '\ufeffa', 'x.y.z{a:b}()', '+1', 'a+ +b', '"\\q"', '0X1', '1uu',
    '0xg', '1_000', 'a?.b', 'a??b', 'a: b', '{a b}', '{a:}', '[a b]', 'has(-a.b)', 'has(a[0])', 'has(a.b())',
    'a || (b', 'a.all(x, has(x))', '"\\"', "r'\\''", 'package', 'namespace.a', 'true{}', 'in{}', 'a.in{}', 'true()',
    'null()',
)  # fmt: skip
"""Texts that are none."""
