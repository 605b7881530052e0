package local

// WithoutOpenat2 makes the store do as on a kernel, or under a guard, that does not know openat2.
func (s *Store) WithoutOpenat2() {
	s.dir.Close()
	s.dir = nil
}
