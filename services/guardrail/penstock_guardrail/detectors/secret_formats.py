"""What the keys and tokens of well-known issuers look like: facts from their documentation, one a line."""

from dataclasses import dataclass

from penstock_guardrail.grammar import (
    BOUNDARY,
    Grammar,
    characters,
    either,
    literal,
    literals,
    optional,
    sequence,
    words,
)

_ALNUM = "[0-9A-Za-z]"
_BASE64URL = "[0-9A-Za-z_-]"
_HEX = "[0-9a-f]"
_UPPER = "[0-9A-Z]"


@dataclass(frozen=True, slots=True)
class SecretFormat:
    """One kind of key: what it begins with, and the whole of it."""

    issuer: str
    prefixes: tuple[str, ...]
    grammar: Grammar


def _format(issuer: str, prefixes: str, *body: Grammar, bounded: bool = True) -> SecretFormat:
    """Write down a format; one that is bounded neither follows nor is followed by a letter or a digit."""
    names = tuple(prefixes.split())
    start = (literals(*names),) if names else ()
    boundary = BOUNDARY if bounded else ()
    return SecretFormat(issuer, names, sequence(boundary, *start, *body, boundary))


def _open(issuer: str, prefixes: str, *body: Grammar) -> SecretFormat:
    return _format(issuer, prefixes, *body, bounded=False)


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
    _open("google", "AIza", _base64url(35)),
    _open("google", "GOCSPX-", _base64url(28)),
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
    _format("1password", "A3- ops_ey", characters("[0-9A-Za-z_-]", 30, 500)),
    _format("adobe", "p8e-", _base64url(32)),
    _format("airtable", "pat", _alnum(14), literal("."), _hex(64)),
    _format("alibaba", "LTAI", _alnum(20)),
    _format("artifactory", "AKCp", _alnum(69)),
    _format("artifactory", "cmVmdGtu", _alnum(56)),
    _open("asana", "", literal("0/"), _hex(32)),
    _format("aws", "ABSK", characters("[0-9A-Za-z+/]", 109, 269)),
    _format("brevo", "xkeysib- xsmtpsib-", _hex(64), literal("-"), _alnum(16)),
    _format("clojars", "CLOJARS_", characters("[0-9a-z]", 60, 60)),
    _format("contentful", "CFPAT-", _base64url(43)),
    _format("databento", "db-", _alnum(29)),
    _format("deepl", "", _UUID, literal(":fx")),
    _format("defined networking", "dnkey-", characters("[0-9A-Za-z=_-]", 40, 100)),
    _format("duffel", "duffel_test_ duffel_live_", _base64url(43)),
    _format("easypost", "EZAK EZTK", _alnum(54)),
    _format("facebook", "EAA", _alnum(60, 400)),
    _format("fastly", "fastly_", _base64url(32)),
    _format("firecrawl", "fc-", _hex(32)),
    _format(
        "flutterwave",
        "FLWSECK_TEST- FLWSECK- FLWPUBK_TEST-",
        characters("[0-9a-zA-Z]", 12, 40),
        optional(literal("-X")),
    ),
    _format("fly.io", "fo1_ fm1_ fm2_ fm1r_ fm2a_", characters("[0-9A-Za-z+/=_-]", 40, 500)),
    _format("frame.io", "fio-u-", characters("[0-9A-Za-z=_-]", 64, 64)),
    _format("gocardless", "live_ sandbox_", characters("[0-9A-Za-z=_-]", 40, 40)),
    _format("google", "1//0", _base64url(40, 120)),
    _format(
        "grafana", "glc_ eyJrIjoi", characters("[0-9A-Za-z+/=]", 32, 400), characters("[0-9A-Za-z+/=]", 0, 2)
    ),
    _format(
        "harness",
        "pat. sat.",
        characters("[0-9A-Za-z_-]", 22, 22),
        literal("."),
        _hex(24),
        literal("."),
        _alnum(20),
    ),
    _format("hashicorp", "", _alnum(14), literal(".atlasv1."), _base64url(60, 70)),
    _format("hashicorp vault", "", characters("[bsr]", 1, 1), literal("."), _base64url(24, 300)),
    _format("hubspot", "pat-na1- pat-eu1-", _UUID),
    _format("huggingface", "hf_", _alnum(34, 40)),
    _format("infracost", "ico-", _alnum(32)),
    _format("intra42", "s-s4t2ud- s-s4t2af-", _hex(64)),
    _format("jina", "jina_", _hex(32), _base64url(28)),
    _open("lark", "", literal("open.feishu.cn/open-apis/bot/v2/hook/"), _UUID),
    _format("mapbox", "pk.ey sk.ey tk.ey", _base64url(20, 400), literal("."), _base64url(20, 60)),
    _open("mattermost", "", literal("/hooks/"), characters("[0-9a-z]", 26, 26)),
    _open(
        "microsoft teams",
        "",
        literals("outlook.office.com/webhook/", ".webhook.office.com/webhookb2/"),
        characters("[0-9A-Za-z@-]", 60, 90),
        literal("/IncomingWebhook/"),
        _hex(32),
        literal("/"),
        _UUID,
    ),
    _format("azure", "", literal("Secret="), characters("[0-9A-Za-z+/]", 36, 90), characters("=", 0, 2)),
    _format("azure", "", _alnum(3), literals("7Q~", "8Q~"), characters("[0-9A-Za-z_.~-]", 31, 34)),
    _format("azure", "sig=", characters("[0-9A-Za-z%+/=]", 40, 70)),
    _format("new relic", "NRAL NRII- NRJS- NRIQ-", characters("[0-9A-Za-z_-]", 19, 42)),
    _format("new relic", "", _hex(36), literal("NRAL")),
    _format("new relic pixie", "px-dep- px-api-", _UUID),
    _format("nvidia", "nvapi-", _base64url(60, 80)),
    _format("octopus", "API-", characters("[0-9A-Z]", 25, 32)),
    _format("okta", "00", characters("[0-9A-Za-z_-]", 39, 39), characters("[0-9A-Za-z_]", 1, 1)),
    _format("openshift", "sha256~", _base64url(43)),
    _format("perplexity", "pplx-", _alnum(40, 60)),
    _format(
        "paypal", "access_token$production$ access_token$sandbox$", _alnum(13, 16), literal("$"), _hex(32)
    ),
    _format("pinecone", "pcsk_", _base64url(60, 80)),
    _format("posthog", "phc_ phx_", _alnum(40, 50)),
    _format("prefect", "pnu_ pnb_", _alnum(36)),
    _format("replicate", "r8_", _alnum(37, 40)),
    _format("resend", "re_", _alnum(8), literal("_"), _alnum(20, 30)),
    _format("readme", "rdme_", characters("[0-9a-z]", 70, 70)),
    _format("scalingo", "tk-us-", _base64url(48)),
    _format("sentry", "sntryu_", _hex(64)),
    _format("shippo", "shippo_live_ shippo_test_", _hex(40)),
    _format("sonar", "squ_ sqp_ sqa_", _hex(40)),
    _format("square", "EAAA sq0atb- sq0idp- sandbox-sq0atb-", _base64url(22, 60)),
    _format("slack", "hooks.slack.com/workflows/T", characters("[0-9A-Za-z/]", 30, 80)),
    _format("snyk", "snyk_", _base64url(36, 60)),
    _format("sourcegraph", "sgp_ slk_ sgd_", characters("[0-9a-f_]", 40, 64)),
    _format("stackhawk", "hawk.", _base64url(20), literal("."), _base64url(20)),
    _format("tavily", "tvly-", _base64url(20, 60)),
    _format("telegram", "", characters("[0-9]", 8, 10), literal(":AA"), _base64url(33)),
    _format("twilio", "AC", _hex(32)),
    _open(
        "thingsboard",
        "",
        literal("/api/v1/"),
        characters("[0-9a-z]", 20, 20),
        literals("/telemetry", "/attributes", "/rpc"),
    ),
    _format("typeform", "tfp_", characters("[0-9A-Za-z_.=-]", 59, 59)),
    _format("vercel", "vercel_ vcp_", _alnum(24, 60)),
    _format("xai", "xai-", _alnum(80)),
    _format("yandex", "AQVN t1. y0_", characters("[0-9A-Za-z_=.-]", 35, 250)),
    _format("zapier", "hooks.zapier.com/hooks/catch/", characters("[0-9A-Za-z/]", 10, 40)),
    _format("buildkite", "bkua_ bkrt_", _hex(40)),
    _format(
        "blynk",
        "",
        literals("blynk.cloud/external/api/get?token=", "blynk.cloud/dashboard?token="),
        _base64url(32),
    ),
    _format("crates.io", "cio", _alnum(32)),
    _open("hash of a password", "$krb5asrep$ $krb5tgs$ $krb5pa$", characters(r"[^\s\"']", 30, 1000)),
    _open("hash of a password", "$1$ $5$ $6$ $y$ $apr1$ $P$", characters("[0-9A-Za-z./$=,]", 20, 120)),
    _open(
        "hash of a password",
        "$2a$ $2b$ $2y$",
        characters("[0-9]", 2, 2),
        literal("$"),
        characters("[0-9A-Za-z./]", 53, 53),
    ),
    _open(
        "hash of a password",
        "$argon2id$ $argon2i$ $scrypt$ {SSHA} pbkdf2_sha256$",
        characters("[0-9A-Za-z+/=,.$]", 30, 200),
    ),
    _format(
        "ntlm",
        "",
        characters("[0-9A-Za-z_.-]", 1, 20),
        literal("::"),
        characters("[0-9A-Za-z_.-]", 1, 20),
        literal(":"),
        _hex(16),
        literal(":"),
        _hex(32),
        literal(":"),
        _hex(32, 600),
    ),
    _format("age", "AGE-SECRET-KEY-1", characters(_UPPER, 58, 58)),
)

# What any of them begins with. Those without a prefix are looked for by their middle.
_MIDDLES = (
    *(
        "-us",
        "0/",
        ":fx",
        ".atlasv1.",
        "/bot/v2/hook/",
        "/hooks/",
        "/IncomingWebhook/",
        "Secret=",
        "7Q~",
        "8Q~",
        "NRAL",
    ),
    *(":AA", "/api/v1/", "blynk.cloud/", "::"),
)
_PREFIXES = (literals(*form.prefixes) for form in FORMATS if form.prefixes)
_VAULT = sequence(BOUNDARY, characters("[bsr]", 1, 1), literal("."), _base64url(24))
TRIGGER = words(either(*_PREFIXES, literals(*_MIDDLES), _VAULT))
