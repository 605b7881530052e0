package pgdump

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: what an archive needs of a server is found in its table of contents
// and missed where it is missing.
func TestNeeds(t *testing.T) {
	t.Parallel()
	admin := scratchtest.Admin(t)
	role := scratchtest.Role(t, admin, "")
	e := scratchtest.Database(t, "CREATE EXTENSION citext; CREATE TABLE t (id int); ALTER TABLE t OWNER TO "+role,
		"CREATE COLLATION phone (provider = icu, locale = 'de-u-co-phonebk'); CREATE COLLATION ignore (provider = icu, deterministic = false, locale = 'und-u-ks-level2')")
	d := dump(t, e, catalog.FingerprintNone)
	toc, err := Inspect(bytes.NewReader(d.parts[PreData]))
	if err != nil {
		t.Fatal(err)
	}
	p := Properties{Owner: "postgres", ACL: []Grant{{Grantee: "granted"}, {Grantee: ""}}, Settings: []Setting{{Role: "set"}, {}}}
	n := NeedsOf(toc, p)
	if !slices.Equal(n.Extensions, []string{"citext"}) || !slices.Equal(n.Collations, []string{"de-u-co-phonebk", "und-u-ks-level2"}) || len(n.Tablespaces) > 0 {
		t.Errorf("needs %+v", n)
	}
	if want := []string{"granted", "postgres", role, "set"}; !slices.Equal(n.Roles, want) {
		t.Errorf("roles %q, not %q", n.Roles, want)
	}
	n.Extensions = append(n.Extensions, "no_such_extension")
	var missing *MissingError
	if err := n.Check(t.Context(), admin, false); !errors.As(err, &missing) || err.Error() != "the server lacks extension no_such_extension; role granted, set" {
		t.Errorf("got %v", err)
	}
	if err := n.Check(t.Context(), admin, true); !errors.As(err, &missing) || err.Error() != "the server lacks extension no_such_extension" {
		t.Errorf("elsewhere: %v", err)
	}
	n.Extensions, n.Roles = []string{"citext"}, []string{"postgres", role}
	if err := n.Check(t.Context(), admin, false); err != nil {
		t.Error(err)
	}
}
