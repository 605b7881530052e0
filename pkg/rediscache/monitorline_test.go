package rediscache

import (
	"strings"
	"testing"
)

// Promise: every kind of line that Redis writes is read as what was sent.
func TestParseMonitor(t *testing.T) {
	for _, tt := range []struct{ line, caller, shown, revealed string }{
		{`1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`, "127.0.0.1:60866", "KEYS ***", "KEYS *"},
		{`1339518083.107412 [3 unix:/run/a] b.sock] "SET" "bmad:1:a" "va\"l\\\n\x00u\xffe" "EX" "10"`, "unix:/run/a] b.sock", "SET bmad:1:a ***", `SET bmad:1:a "va\"l\\\n\x00u\xffe" EX 10`},
		{`1339518083.107412 [0 lua] "get" "k"`, "lua", "GET k", "GET k"},
		{`1339518083.107412 [0 [::1]:5000] "MSET" "a" "1" "b" "2"`, "[::1]:5000", "MSET a b ***", "MSET a 1 b 2"},
		{`1339518083.107412 [0 1.1.1.1:1] "AUTH" "hunter2"`, "1.1.1.1:1", "AUTH ***", "AUTH ***"},
		{`1339518083.107412 [0 1.1.1.1:1] "hello" "3" "AUTH" "u" "hunter2"`, "1.1.1.1:1", "HELLO ***", "HELLO ***"},
		{`1339518083.107412 [0 1.1.1.1:1] "ACL" "setuser" "u" ">hunter2"`, "1.1.1.1:1", "ACL SETUSER ***", "ACL SETUSER ***"},
		{`1339518083.107412 [0 1.1.1.1:1] "config" "SET" "requirepass" "hunter2"`, "1.1.1.1:1", "CONFIG SET ***", "CONFIG SET ***"},
		{`1339518083.107412 [0 1.1.1.1:1] "MIGRATE" "h" "1" "k" "0" "9" "AUTH" "hunter2"`, "1.1.1.1:1", "MIGRATE ***", "MIGRATE ***"},
		{`1339518083.107412 [0 1.1.1.1:1] "EVAL" "return 1" "1" "k" "hunter2"`, "1.1.1.1:1", "EVAL k ***", `EVAL "return 1" 1 k hunter2`},
		{`1339518083.107412 [0 1.1.1.1:1] "SET" "cut" "in the mid`, "1.1.1.1:1", "SET cut", "SET cut"},
	} {
		e, err := ParseMonitor(tt.line)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if e.Caller != tt.caller || e.Command.Shown(false) != tt.shown || e.Command.Shown(true) != tt.revealed || e.At.UnixMicro() != 1339518083107412 {
			t.Errorf("%s: %q %q %q", tt.line, e.Caller, e.Command.Shown(false), e.Command.Shown(true))
		}
	}
}

// Promise: whatever comes, the parser ends without a panic; what it shows is bounded and
// cannot steer a terminal.
func FuzzParseMonitor(f *testing.F) {
	for _, seed := range []string{`1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`, `1.000000 [0 lua] "eval" "x" "99999999999" "k"`, `1.000000 [0 a] "\x`, `OK`, `1.000000 [0 a] "blpop"`, `1.000000 [0 a] ""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ParseMonitor(line)
		if err != nil {
			return
		}
		for _, k := range e.Command.Keys() {
			_ = Prefix{"bmad", 1}.Group(k)
		}
		for _, reveal := range []bool{false, true} {
			text := e.Command.Shown(reveal)
			if len(text) > 210 || strings.ContainsAny(text, "\x1b\n\r\x00") {
				t.Errorf("%q", text)
			}
		}
	})
}
