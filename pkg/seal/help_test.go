package seal

import (
	"bytes"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// testTime is when fuzzed keys are looked at.
var testTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// generated makes a key pair in this process.
func generated(t testing.TB, name string, change func(*packet.Config)) *Key {
	t.Helper()
	c := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Now().Add(-time.Hour) }}
	if change != nil {
		change(c)
	}
	e, err := openpgp.NewEntity(name, "", name+"@example.org", c)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{entity: e}
}

// pack writes data as one stream and returns it with what opens it.
func pack(t testing.TB, data []byte, o Options) ([]byte, Unlocker) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.SessionKey() == nil {
		return b.Bytes(), nil
	}
	return b.Bytes(), w.SessionKey()
}
