package main

import (
	"os"

	"go.temporal.io/server/common/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger writes the server's log to stderr, readable by people. Its level can change while it runs.
func newLogger(level zap.AtomicLevel) log.Logger {
	return log.NewZapLogger(zap.New(zapcore.NewCore(
		zapcore.NewConsoleEncoder(log.DefaultZapEncoderConfig), zapcore.Lock(os.Stderr), level)))
}

// quieten leaves only errors. While the services start and stop one after the other they warn about not reaching
// each other; that is normal, and would bury what the engine itself has to say. Who asked for more sees it all.
func quieten(level zap.AtomicLevel) (restore func()) {
	before := level.Level()
	if before == zapcore.WarnLevel {
		level.SetLevel(zapcore.ErrorLevel)
	}
	return func() { level.SetLevel(before) }
}
