package seal

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// NoSecretKeyError is ErrNoSecretKey with the ids of the keys that the message is encrypted to.
type NoSecretKeyError struct {
	KeyIDs []string // of the encryption subkeys, 16 hexadecimal digits each; all zero: a hidden recipient
	Note   string   // what else the operator may need to know
}

func (e *NoSecretKeyError) Error() string {
	var b strings.Builder
	b.WriteString(ErrNoSecretKey.Error())
	if len(e.KeyIDs) > 0 {
		fmt.Fprintf(&b, " for %s", strings.Join(e.KeyIDs, ", "))
	}
	if e.Note != "" {
		fmt.Fprintf(&b, " (%s)", e.Note)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrNoSecretKey) true.
func (e *NoSecretKeyError) Is(target error) bool { return target == ErrNoSecretKey }

// Chain tries the unlockers in order and takes the first that can. When none has a key the error is a *NoSecretKeyError;
// when one had another problem, such as a wrong passphrase, that is the error.
func Chain(unlockers ...Unlocker) Unlocker { return chain(unlockers) }

type chain []Unlocker

func (c chain) Unlock(ctx context.Context, pkesk []byte) (*SessionKey, error) {
	none := &NoSecretKeyError{KeyIDs: keyIDs(pkesk)}
	var problems []error
	for _, u := range c {
		key, err := u.Unlock(ctx, pkesk)
		if err == nil {
			return key, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var missing *NoSecretKeyError
		if !errors.As(err, &missing) {
			problems = append(problems, err)
		} else if none.Note == "" {
			none.Note = missing.Note
		}
	}
	if len(problems) > 0 {
		return nil, joined(problems)
	}
	return nil, none
}

// joined makes one line of several problems.
func joined(problems []error) error {
	if len(problems) == 1 {
		return problems[0]
	}
	return problemList(problems)
}

type problemList []error

func (l problemList) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (l problemList) Unwrap() []error { return l }
