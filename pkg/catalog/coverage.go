package catalog

import "time"

// TreeParts is into how many parts the paths of a tree are dealt by their hash, to be hashed part by part.
const TreeParts = 1 << 16

// Coverage says that the files in the parts from From to just below To were hashed at Time.
type Coverage struct {
	From int       `json:"from"`
	To   int       `json:"to"`
	Time time.Time `json:"time"`
}

// Hashed is when each part of a tree was hashed last; zero: never, as far as anybody knows.
type Hashed [TreeParts]time.Time

// HashedBy joins what the sets of a group say: their checks, and for those whose sets are gone by now, their manifests. A
// file that has not changed is the same file in each set, so what was read in one night counts for all of them.
func HashedBy(sets []Set) *Hashed {
	h := new(Hashed)
	for _, s := range sets {
		if s.Manifest != nil {
			h.add(s.Manifest.Coverage)
		}
		for _, k := range s.Checks {
			h.add(k.Coverage)
		}
	}
	return h
}

func (h *Hashed) add(coverage []Coverage) {
	for _, r := range coverage {
		for part := max(r.From, 0); part < min(r.To, TreeParts); part++ {
			if r.Time.After(h[part]) {
				h[part] = r.Time
			}
		}
	}
}

// Coverage is the same as it is recorded.
func (h *Hashed) Coverage() (all []Coverage) {
	for part := 0; part < TreeParts; {
		end := part + 1
		for end < TreeParts && h[end].Equal(h[part]) {
			end++
		}
		if !h[part].IsZero() {
			all = append(all, Coverage{From: part, To: end, Time: h[part].UTC()})
		}
		part = end
	}
	return all
}
