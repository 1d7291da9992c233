-- POSTs one body over and over: `wrk … -- BODY_FILE SEED`. With a SEED every body differs, where BODY_FILE says ########.
-- The last line that it prints is a JSON object with what was measured.
local DIGITS = 8 -- base 26, so that no request looks like a number that a guardrail looks for

local head, tail, counter = nil, nil, 0

local function letters(number)
    local text = {}
    for place = DIGITS, 1, -1 do
        text[place] = string.char(97 + number % 26)
        number = math.floor(number / 26)
    end
    return table.concat(text)
end

function init(args)
    local body = assert(io.open(args[1])):read("*a")
    wrk.headers["Content-Type"] = "application/json"
    local request = wrk.format("POST", nil, nil, body)
    local first, last = request:find(("#"):rep(DIGITS), 1, true)
    head, tail = request:sub(1, first - 1), request:sub(last + 1)
    seed = tonumber(args[2])
    counter = seed or 0
    if not seed then fixed = head .. letters(0) .. tail end
end

function request()
    if fixed then return fixed end
    counter = counter + 1
    return head .. letters(counter) .. tail
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "bad_status": %d, "broken": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
