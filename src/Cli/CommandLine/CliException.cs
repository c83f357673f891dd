using System;

namespace Quietus.Cli.CommandLine;

/// <summary>
/// A failure that a person can do something about: what was wrong, what to do next, and the exit code. It ends as one
/// line on stderr, and never as a stack trace.
/// </summary>
internal sealed class CliException : Exception
{
    /// <summary>Makes the failure.</summary>
    /// <param name="exitCode">One of <see cref="CommandLine.ExitCode"/>.</param>
    /// <param name="message">What was wrong, in one line.</param>
    /// <param name="nextStep">What the reader can do about it; null when there is nothing to say.</param>
    /// <param name="details">Lines that belong to it, such as what QEMU wrote; null when there are none.</param>
    public CliException(int exitCode, string message, string? nextStep = null, string? details = null)
        : base(message)
    {
        ExitCode = exitCode;
        NextStep = nextStep;
        Details = details;
    }

    public int ExitCode { get; }

    public string? NextStep { get; }

    public string? Details { get; }

    public static CliException Usage(string message, string nextStep) =>
        new(CommandLine.ExitCode.Usage, message, nextStep);

    public static CliException NotSupported(string message, string nextStep) =>
        new(CommandLine.ExitCode.NotSupported, message, nextStep);
}
