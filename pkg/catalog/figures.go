package catalog

// RawBytes is the size of what all artifacts held before compression and sealing.
func (m *Manifest) RawBytes() int64 {
	var n int64
	for _, a := range m.Artifacts {
		n += a.RawBytes
	}
	return n
}

// Rows is the number of rows of all tables; 0 for a nil fingerprint and for one that counted none.
func (f *Fingerprint) Rows() int64 {
	if f == nil {
		return 0
	}
	var n int64
	for _, t := range f.Tables {
		n += t.Rows
	}
	return n
}

// TableCount is the number of tables whose rows the archives hold; 0 as for Rows.
func (f *Fingerprint) TableCount() int {
	if f == nil {
		return 0
	}
	return len(f.Tables)
}

// Names are the recipients' user ids, or fingerprints where there is none. For nil the list is empty, not nil.
func (e *Encryption) Names() []string {
	names := []string{}
	if e == nil {
		return names
	}
	for _, r := range e.Recipients {
		name := r.UserID
		if name == "" {
			name = r.Fingerprint
		}
		names = append(names, name)
	}
	return names
}

// Seconds is how long all stages of the check took together.
func (k Check) Seconds() float64 {
	var all float64
	for _, s := range k.Stages {
		all += s.Seconds
	}
	return all
}
