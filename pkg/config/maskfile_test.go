package config

import (
	"strings"
	"testing"
)

// Promise: what a diff shows of configuration files has none of their secrets, in the forms that such files have.
func TestMaskFile(t *testing.T) {
	const s = "hunter2"
	for _, tc := range []struct{ name, text, want string }{
		{"app.env", "DEBUG=0\nSECRET_KEY=" + s + "\nexport DB_PASSWORD='" + s + "'\n", "DEBUG=0\nSECRET_KEY=***\nexport DB_PASSWORD=***\n"},
		{"app.env", "DATABASE_URL=postgres://u:" + s + "@h/d\nSENTRY_DSN=https://" + s + "@sentry/1\n", "DATABASE_URL=postgres://u:***@h/d\nSENTRY_DSN=***\n"},
		{"app.env", "SECRET_KEY=\"one\n" + s + "\nend\"\nA=b\n", "SECRET_KEY=***\n***\n***\nA=b\n"},
		{"app.env", "SECRET_KEY=one \\\n" + s + "\nA=b\n", "SECRET_KEY=***\n***\nA=b\n"},
		{"app.service", "Environment=\"A=b\" \"SECRET_KEY=" + s + "\"\nUser=app\n", "Environment=\"A=b\" \"SECRET_KEY=***\nUser=app\n"},
		{"f.yaml", "a: 1\npassword: " + s + "\nb: {token: " + s + "}\n", "a: 1\npassword: ***\nb: {token: ***\n"},
		{"f.yaml", "private_key: |\n  " + s + "\n\n  " + s + "\nnext: 1\n", "private_key: ***\n***\n***\n***\nnext: 1\n"},
		{"f.yaml", "passphrase_file: /etc/x\n", "passphrase_file: /etc/x\n"},
		{"f.yaml", "passphrase_file: " + s + "\n", "passphrase_file: ***\n"},
		{"f.json", "{\"api_key\": \"" + s + "\",\n\"a\": 1}\n", "{\"api_key\": ***\n\"a\": 1}\n"},
		{"site", "proxy_set_header X-Api-Token " + s + ";\nproxy_set_header Authorization \"Basic " + s + "\";\nlisten 80;\n", "proxy_set_header X-Api-Token ***\nproxy_set_header Authorization ***\nlisten 80;\n"},
		{"site", "a\n-----BEGIN RSA PRIVATE KEY-----\n" + s + "\n-----END RSA PRIVATE KEY-----\nb\n", "a\n***\n***\n***\nb\n"},
		{"tls.key", s + "\nmore\n", "***\n***\n"},
		{"db-password", s, "***"},
		{"anything", s + "\n", "***\n"},
		{".pgpass", "h:5432:d:u:" + s + "\n", "***\n"},
		{"cron", "0 2 * * * app forgectl --token " + s + "\n", "0 2 * * * app forgectl --token ***\n"},
		{"crlf", "password=" + s + "\r\nx = 1\r\n", "password=***\r\nx = 1\r\n"},
	} {
		lines := strings.SplitAfter(tc.text, "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		got := MaskFile("/etc/"+tc.name, lines)
		if len(got) != len(lines) || strings.Join(got, "") != tc.want {
			t.Errorf("%s: %q\ngot  %q\nwant %q", tc.name, tc.text, strings.Join(got, ""), tc.want)
		}
		if strings.Contains(strings.Join(got, ""), s) {
			t.Errorf("%s: shows the secret", tc.name)
		}
	}
}
