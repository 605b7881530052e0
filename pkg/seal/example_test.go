package seal_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/bmad-forge/forgectl/pkg/seal"
)

// A backup is sealed to a key, read back with the session key, which needs no secret key, and later opened with
// the secret one.
func Example() {
	public, secret := exampleKey()
	recipients, err := seal.ReadKeys(public)
	if err != nil {
		log.Fatal(err)
	}

	var stored bytes.Buffer
	w, err := seal.NewWriter(&stored, seal.Options{Recipients: recipients})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort()
	if _, err := io.WriteString(w, "CREATE TABLE prompts ();\n"); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.RawBytes(), "bytes in dump.sql"+seal.Suffix(true))

	show := func(u seal.Unlocker) {
		r, err := seal.NewReader(context.Background(), bytes.NewReader(stored.Bytes()), true, u)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer r.Close()
		text, err := io.ReadAll(r)
		fmt.Printf("%s%v\n", text, err)
	}

	key := w.SessionKey()
	show(key)
	key.Wipe()
	show(key)

	keys, err := seal.ReadKeys(secret)
	if err != nil {
		log.Fatal(err)
	}
	show(seal.Chain(&seal.Keyring{Keys: keys}))

	// Output:
	// 25 bytes in dump.sql.zst.gpg
	// CREATE TABLE prompts ();
	// <nil>
	// unseal: session key was wiped
	// CREATE TABLE prompts ();
	// <nil>
}

// exampleKey stands for two key files.
func exampleKey() (public, secret []byte) {
	e, err := openpgp.NewEntity("Ops", "", "ops@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		log.Fatal(err)
	}
	var p, s bytes.Buffer
	if err := e.SerializePrivate(&s, nil); err != nil {
		log.Fatal(err)
	}
	if err := e.Serialize(&p); err != nil {
		log.Fatal(err)
	}
	return p.Bytes(), s.Bytes()
}
