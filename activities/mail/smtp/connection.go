package smtp

import (
	"net"
	"sync"
)

// bounded is a connection that remembers why reading ended, which the
// protocols' libraries do not always pass on, and that reads only so much.
type bounded struct {
	net.Conn
	stop func() bool

	mu   sync.Mutex
	left int64
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	b.mu.Lock()
	left := b.left
	b.mu.Unlock()
	if left <= 0 {
		return 0, b.ended(errTooMuch)
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), left)])
	b.mu.Lock()
	b.left -= int64(n)
	b.mu.Unlock()
	if err != nil {
		return n, b.ended(err)
	}
	return n, nil
}

func (b *bounded) Write(p []byte) (int, error) {
	n, err := b.Conn.Write(p)
	if err != nil {
		return n, b.ended(err)
	}
	return n, nil
}

func (b *bounded) ended(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	return err
}

// broken returns why the connection ended by itself, or nil.
func (b *bounded) broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Close closes the connection and lets go of the context.
func (b *bounded) Close() error {
	b.stop()
	return b.Conn.Close()
}
