package proc

import (
	"fmt"
	"os/user"
	"strconv"
)

// Credential is an OS user that a child runs as. Only root can use another one than its own.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
	User     string
	Home     string
}

// LookupUser finds an OS user with all its groups.
func LookupUser(name string) (*Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("look up OS user %q: %w", name, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up groups of OS user %q: %w", name, err)
	}
	c := &Credential{User: u.Username, Home: u.HomeDir}
	if c.UID, err = parseID(u.Uid); err != nil {
		return nil, fmt.Errorf("look up OS user %q: %w", name, err)
	}
	if c.GID, err = parseID(u.Gid); err != nil {
		return nil, fmt.Errorf("look up OS user %q: %w", name, err)
	}
	for _, s := range ids {
		id, err := parseID(s)
		if err != nil {
			return nil, fmt.Errorf("look up groups of OS user %q: %w", name, err)
		}
		c.Groups = append(c.Groups, id)
	}
	return c, nil
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("numeric id: %w", err)
	}
	return uint32(n), nil
}
