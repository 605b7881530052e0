package postgres

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is server_version_num: 150018 is 15.18.
type Version int

// Major is 15 for 15.18.
func (v Version) Major() int { return int(v) / 10000 }

// String is "15.18".
func (v Version) String() string {
	return strconv.Itoa(v.Major()) + "." + strconv.Itoa(int(v)%10000)
}

// "18beta1" has no minor version yet: it counts as 18.0.
var versionPattern = regexp.MustCompile(`\b(\d+)(?:\.(\d+)|(?:beta|rc|devel))?`)

// ParseVersion reads "15.18 (Debian 15.18-0+deb12u1)", "pg_dump (PostgreSQL) 17.2"
// or "18beta1"; versions before 10 are not supported and are an error.
func ParseVersion(s string) (Version, error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("no version in %q", s)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < 10 || major > 99 || minor > 9999 {
		return 0, fmt.Errorf("version %q is not supported", m[0])
	}
	return Version(major*10000 + minor), nil
}
