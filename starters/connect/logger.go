package connect

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sirupsen/logrus"
	logrusslog "github.com/sirupsen/logrus/hooks/slog"
)

// The formats of the log.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Logger returns a log that writes to stderr, and the same log for whoever wants
// slog, as the engine's SDK does. level is one of logrus' ("info", "debug", …),
// format is "text" or "json"; an empty one is the default, "info" and "text".
func Logger(level, format string) (*logrus.Logger, *slog.Logger, error) {
	logger := logrus.New()
	var problems []error
	if level == "" {
		level = logrus.InfoLevel.String()
	}
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		problems = append(problems, fmt.Errorf("the log level %q is none of debug, info, warn, error", level))
	}
	logger.SetLevel(parsed)
	switch format {
	case "", FormatText:
		logger.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.RFC3339})
	case FormatJSON:
		logger.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
	default:
		problems = append(problems, fmt.Errorf("the log format %q is none of %s, %s", format, FormatText, FormatJSON))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, nil, err
	}
	return logger, slog.New(logrusslog.NewHandler(logger, nil)), nil
}
