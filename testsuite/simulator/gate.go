package simulator

// Gate stands where a call arrives and where its answer leaves, for tests in
// which somebody dies at exactly that moment. It is called with done false
// before anything has happened; when it then returns true the call is lost
// without effect. With done true the effect has happened and the answer is not
// yet sent; what it returns is ignored.
type Gate func(c Call, done bool) (lost bool)

// Guard puts a gate before every call of this system; nil takes it away.
func (s *System) Guard(g Gate) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.gate = g
}

func (s *System) passes(c Call, done bool) (lost bool) {
	s.faults.mu.Lock()
	gate := s.faults.gate
	s.faults.mu.Unlock()
	return gate != nil && gate(c, done)
}
