package seal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// keyFileLimit is far above any real key file; /dev/zero is not one.
const keyFileLimit = 16 << 20

// ReadKeyFile is ReadKeys on a file.
func ReadKeyFile(path string) ([]*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, keyFileLimit+1))
	defer clear(data) // there may be a secret key in it
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if len(data) > keyFileLimit {
		return nil, fmt.Errorf("read keys: %s: larger than %d bytes", path, keyFileLimit)
	}
	keys, err := ReadKeys(data)
	if err != nil {
		return nil, fmt.Errorf("read keys: %s: %w", path, err)
	}
	return keys, nil
}

// ReadKeys reads public or secret keys, binary or as any number of armored blocks. A key that cannot be read is an
// error: a recipient must not vanish silently. A key that occurs twice is returned once, with its secret part if
// one of them has it. No key at all is ErrNoKey.
func ReadKeys(data []byte) ([]*Key, error) {
	var entities []*openpgp.Entity
	var err error
	if len(data) > 0 && data[0]&0x80 != 0 { // the first byte of every binary packet
		entities, err = readEntities(bytes.NewReader(data))
	} else {
		entities, err = readArmored(data)
	}
	if err != nil {
		return nil, err
	}
	if len(entities) == 0 {
		return nil, ErrNoKey
	}
	return distinct(entities), nil
}

func readArmored(data []byte) ([]*openpgp.Entity, error) {
	var all []*openpgp.Entity
	r := bufio.NewReader(bytes.NewReader(data)) // shared by the blocks: Decode takes it over as it is
	for {
		block, err := armor.Decode(r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("armored block: %w", err)
		}
		if block.Type != openpgp.PublicKeyType && block.Type != openpgp.PrivateKeyType {
			return nil, fmt.Errorf("armored block: %s instead of a key", printable(block.Type))
		}
		found, err := readEntities(block.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
}

func readEntities(r io.Reader) ([]*openpgp.Entity, error) {
	var all []*openpgp.Entity
	packets := packet.NewReader(r)
	for {
		e, err := openpgp.ReadEntity(packets)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(all)+1, err)
		}
		all = append(all, e)
	}
}

func distinct(entities []*openpgp.Entity) []*Key {
	var keys []*Key
	at := make(map[string]int)
	for _, e := range entities {
		k := &Key{entity: e}
		i, known := at[k.Fingerprint()]
		switch {
		case !known:
			at[k.Fingerprint()] = len(keys)
			keys = append(keys, k)
		case k.HasSecret() && !keys[i].HasSecret():
			keys[i] = k
		}
	}
	return keys
}
