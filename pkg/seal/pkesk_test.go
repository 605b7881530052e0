package seal

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The head of a message is taken in each form that OpenPGP has for a length, and refused, within bounds, in any other.
func TestReadHead(t *testing.T) {
	const v3 = "\x03\x01\x02\x03\x04\x05\x06\x07\x08\x01"
	const end = "\xd2\x00"
	body := func(n int) string { return v3 + strings.Repeat("x", n-len(v3)) }
	for name, tt := range map[string]struct {
		message string
		head    int // bytes taken; 0: refused
		ids     int
		says    string
	}{
		"old, one byte":     {"\x84\x0a" + v3 + end, 12, 1, ""},
		"old, two bytes":    {"\x85\x00\x0a" + v3 + end, 13, 1, ""},
		"old, four bytes":   {"\x86\x00\x00\x00\x0a" + v3 + end, 15, 1, ""},
		"new, one byte":     {"\xc1\x0a" + v3 + end, 12, 1, ""},
		"new, two bytes":    {"\xc1\xc0\x08" + body(200) + end, 203, 1, ""},
		"new, five bytes":   {"\xc1\xff\x00\x00\x00\x0a" + v3 + end, 16, 1, ""},
		"two":               {"\xc1\x0a" + v3 + "\x84\x0a" + v3 + end, 24, 2, ""},
		"unknown version":   {"\xc1\x02\x09\x09" + end, 4, 0, ""},
		"empty packet":      {"\xc1\x00" + end, 2, 0, ""},
		"at the limit":      {"\xc1\xff\x00\x00\x40\x00" + body(maxPKESK) + end, 6 + maxPKESK, 1, ""},
		"over the limit":    {"\xc1\xff\x00\x00\x40\x01" + body(maxPKESK+1) + end, 0, 0, "16385 bytes"},
		"over all limits":   {"\xc1\xff\xff\xff\xff\xff" + v3, 0, 0, "bytes"},
		"old, no length":    {"\x87" + v3 + end, 0, 0, "without a length"},
		"in parts":          {"\xc1\xe0" + v3 + end, 0, 0, "in parts"},
		"no recipient":      {end, 0, 0, "without recipients"},
		"a passphrase":      {"\xc3\x04\x04\x09\x00\x02" + end, 0, 0, "unexpected OpenPGP packet 3"},
		"a signature first": {"\xc2\x00" + end, 0, 0, "unexpected OpenPGP packet 2"},
		"armored":           {"-----BEGIN PGP MESSAGE-----\n", 0, 0, "not an OpenPGP message"},
		"only the head":     {"\xc1\x0a" + v3, 0, 0, "truncated"},
		"nothing":           {"", 0, 0, "truncated"},
		"too many":          {strings.Repeat("\xc1\xff\x00\x00\x40\x00"+body(maxPKESK), maxHead/maxPKESK) + end, 0, 0, "too many recipients"},
	} {
		r := bufio.NewReader(strings.NewReader(tt.message))
		head, err := readHead(r)
		if tt.head == 0 {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || string(head) != tt.message[:tt.head] {
			t.Errorf("%s: %d bytes, %v", name, len(head), err)
		}
		want := slices.Repeat([]string{"0102030405060708"}, tt.ids)
		if got := keyIDs(head); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: key ids %v", name, got)
		}
		if next, _ := r.Peek(1); string(next) != end[:1] {
			t.Errorf("%s: the encrypted data were not left: %x", name, next)
		}
	}
}
