using System;

namespace Quietus.Cli.Monitoring;

/// <summary>The hypervisor answered with an error, or with something that is no answer.</summary>
internal sealed class MonitorException : Exception
{
    public MonitorException(string message, string? code = null)
        : base(message) => Code = code;

    /// <summary>The error's name in the protocol, <c>no-such-vm</c> for example; null when it had none.</summary>
    public string? Code { get; }
}
