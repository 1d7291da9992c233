"""What the keys and tokens of well-known issuers look like: facts from their documentation, one a line."""

from dataclasses import dataclass

from penstock_guardrail.grammar import Grammar, characters, either, literal, literals, sequence, words

_ALNUM = "[0-9A-Za-z]"
_BASE64URL = "[0-9A-Za-z_-]"
_HEX = "[0-9a-f]"
_UPPER = "[0-9A-Z]"


@dataclass(frozen=True, slots=True)
class SecretFormat:
    """One kind of key: what it begins with, and its body."""

    issuer: str
    prefixes: tuple[str, ...]
    grammar: Grammar


def _format(issuer: str, prefixes: str, *body: Grammar) -> SecretFormat:
    names = tuple(prefixes.split())
    return SecretFormat(issuer, names, sequence(literals(*names), *body) if names else sequence(*body))


def _alnum(least: int, most: int | None = None) -> Grammar:
    return characters(_ALNUM, least, most or least)


def _base64url(least: int, most: int | None = None) -> Grammar:
    return characters(_BASE64URL, least, most or least)


def _hex(least: int, most: int | None = None) -> Grammar:
    return characters(_HEX, least, most or least)


_UUID = sequence(_hex(8), literal("-"), *(sequence(_hex(4), literal("-")) for _ in range(3)), _hex(12))

FORMATS: tuple[SecretFormat, ...] = (
    _format("penstock", "psk_", _base64url(32, 64)),
    _format("aws", "AKIA ASIA ABIA ACCA", characters("[2-7A-Z]", 16, 16)),
    _format("aws", "A3T", characters(_UPPER, 17, 17)),
    _format("aws", "amzn.mws.", _UUID),
    _format("github", "ghp_ gho_ ghu_ ghs_ ghr_", _alnum(36, 251)),
    _format("github", "github_pat_", _alnum(22), literal("_"), _alnum(59)),
    _format("gitlab", "glpat- gldt- glrt- glptt- glft- glsoat- glcbt- glimt- glagent-", _base64url(20, 64)),
    _format("slack", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-", characters("[0-9A-Za-z-]", 10, 250)),
    _format(
        "slack", "hooks.slack.com/services/T", characters("[0-9A-Z/]", 10, 24), literal("/"), _alnum(18, 32)
    ),
    _format("stripe", "sk_live_ sk_test_ rk_live_ rk_test_", _alnum(10, 247)),
    _format("stripe", "whsec_", _alnum(24, 64)),
    _format("openai", "sk-proj- sk-svcacct- sk-admin-", _base64url(20, 250)),
    _format("anthropic", "sk-ant-", _base64url(20, 200)),
    _format("openai", "sk-", _alnum(20, 64)),
    _format("openrouter", "sk-or-v1-", _hex(64)),
    _format("google", "AIza", _base64url(35)),
    _format("google", "GOCSPX-", _base64url(28)),
    _format("google", "ya29.", _base64url(20, 400)),
    _format(
        "azure", "AccountKey= SharedAccessKey=", characters("[0-9A-Za-z+/]", 40, 90), characters("=", 0, 2)
    ),
    _format("npm", "npm_", _alnum(36)),
    _format("pypi", "pypi-AgEIcHlwaS5vcmc pypi-AgENdGVzdC5weXBpLm9yZw", _base64url(50, 400)),
    _format("rubygems", "rubygems_", _hex(48)),
    _format("nuget", "oy2", characters("[0-9a-z]", 43, 43)),
    _format("docker", "dckr_pat_", _base64url(27)),
    _format("hugging face", "hf_ api_org_", characters("[A-Za-z]", 34, 34)),
    _format("sendgrid", "SG.", _base64url(22), literal("."), _base64url(43)),
    _format("twilio", "SK", _hex(32)),
    _format("mailchimp", "", _hex(32), literal("-us"), characters("[0-9]", 1, 2)),
    _format("mailgun", "key-", _hex(32)),
    _format("telegram", "bot", characters("[0-9]", 8, 10), literal(":AA"), _base64url(33)),
    _format(
        "discord", "discord.com/api/webhooks/", characters("[0-9]", 17, 20), literal("/"), _base64url(60, 80)
    ),
    _format("digitalocean", "dop_v1_ doo_v1_ dor_v1_", _hex(64)),
    _format("heroku", "HRKU-", _base64url(36, 64)),
    _format("shopify", "shpat_ shpca_ shppa_ shpss_", _hex(32)),
    _format("square", "sq0atp-", _base64url(22)),
    _format("square", "sq0csp-", _base64url(43)),
    _format("databricks", "dapi", _hex(32)),
    _format("hashicorp vault", "hvs. hvb.", _base64url(24, 200)),
    _format("atlassian", "ATATT3 ATCTT3 ATBB", characters("[0-9A-Za-z_=-]", 24, 250)),
    _format("linear", "lin_api_", _alnum(40)),
    _format("notion", "ntn_ secret_", _alnum(43, 46)),
    _format("figma", "figd_", _base64url(40)),
    _format("postman", "PMAK-", _hex(24), literal("-"), _hex(34)),
    _format("grafana", "glsa_", _alnum(32), literal("_"), _hex(8)),
    _format("new relic", "NRAK- NRAA- NRRA-", _alnum(27, 42)),
    _format("doppler", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", _alnum(40, 44)),
    _format(
        "dynatrace", "dt0c01. dt0s01.", characters(_UPPER, 24, 24), literal("."), characters(_UPPER, 64, 64)
    ),
    _format("pulumi", "pul-", _hex(40)),
    _format("planetscale", "pscale_tkn_ pscale_pw_ pscale_oauth_", characters("[0-9A-Za-z_.-]", 32, 64)),
    _format("supabase", "sbp_", _hex(40)),
    _format("tailscale", "tskey-api- tskey-auth- tskey-client-", characters("[0-9A-Za-z-]", 20, 64)),
    _format("sentry", "sntrys_", characters("[0-9A-Za-z+/=_]", 60, 400)),
    _format("dropbox", "sl.", _base64url(60, 250)),
    _format("groq", "gsk_", _alnum(48, 60)),
    _format("age", "AGE-SECRET-KEY-1", characters(_UPPER, 58, 58)),
)

# What any of them begins with. Those without a prefix are looked for by their middle.
TRIGGER = words(either(*(literals(*form.prefixes) for form in FORMATS if form.prefixes), literal("-us")))
