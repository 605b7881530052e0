package seal

import "strings"

// NoSecretKeyError is ErrNoSecretKey with the key ids that the message is encrypted to.
type NoSecretKeyError struct {
	KeyIDs []string // 16 hexadecimal digits each; all zero: a hidden recipient
}

func (e *NoSecretKeyError) Error() string {
	if len(e.KeyIDs) == 0 {
		return ErrNoSecretKey.Error()
	}
	return ErrNoSecretKey.Error() + " for " + strings.Join(e.KeyIDs, ", ")
}

// Is makes errors.Is(err, ErrNoSecretKey) true.
func (e *NoSecretKeyError) Is(target error) bool { return target == ErrNoSecretKey }
