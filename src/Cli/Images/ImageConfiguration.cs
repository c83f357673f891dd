using System.Collections.Generic;

namespace Quietus.Cli.Images;

/// <summary>
/// How an image wants to be run, where it says so (OCI image specification, "config"). Empty: nothing said.
/// </summary>
internal sealed record ImageConfiguration
{
    public static ImageConfiguration None { get; } = new();

    /// <summary>Each <c>NAME=VALUE</c>.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    public string WorkingFolder { get; init; } = string.Empty;

    /// <summary><c>user</c>, <c>uid</c>, <c>user:group</c> or <c>uid:gid</c>.</summary>
    public string User { get; init; } = string.Empty;

    public IReadOnlyList<string> EntryPoint { get; init; } = [];

    public IReadOnlyList<string> Command { get; init; } = [];
}
