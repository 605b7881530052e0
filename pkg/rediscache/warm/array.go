package warm

import (
	"errors"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/rediscache/pickle"
)

var errArray = errors.New("not an array in PostgreSQL's notation")

// array reads {1,NULL,"a \"b\""} and nested ones. Bounds such as [0:1]= are left out, as psycopg does.
func array(s string, each decoder) (pickle.Value, error) {
	if strings.HasPrefix(s, "[") {
		_, s, _ = strings.Cut(s, "=")
	}
	v, rest, err := list(s, each, 0)
	if err == nil && rest != "" {
		err = errArray
	}
	return v, err
}

// list reads one pair of braces; what follows it comes back.
func list(s string, each decoder, depth int) (pickle.Value, string, error) {
	const most = 6 // dimensions of PostgreSQL
	if !strings.HasPrefix(s, "{") || depth > most {
		return nil, s, errArray
	}
	out := &pickle.List{}
	s = s[1:]
	if rest, empty := strings.CutPrefix(s, "}"); empty {
		return out, rest, nil
	}
	for {
		var item pickle.Value
		var err error
		if strings.HasPrefix(s, "{") {
			item, s, err = list(s, each, depth+1)
		} else {
			item, s, err = element(s, each)
		}
		if err != nil || s == "" {
			return nil, s, errors.Join(err, missing(s))
		}
		out.Items = append(out.Items, item)
		switch s[0] {
		case ',':
			s = s[1:]
		case '}':
			return out, s[1:], nil
		default:
			return nil, s, errArray
		}
	}
}

func missing(s string) error {
	if s == "" {
		return errArray
	}
	return nil
}

func element(s string, each decoder) (pickle.Value, string, error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ",}")
		if end < 0 {
			return nil, s, errArray
		}
		if s[:end] == "NULL" {
			return pickle.None{}, s[end:], nil
		}
		v, err := each(s[:end])
		return v, s[end:], err
	}
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			v, err := each(text.String())
			return v, s[i+1:], err
		case '\\':
			if i++; i == len(s) {
				return nil, s, errArray
			}
		}
		text.WriteByte(s[i])
	}
	return nil, s, errArray
}
