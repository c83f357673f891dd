using System;
using Quietus.Cli.Serve;

namespace Quietus.Service;

/// <summary>A request that is refused, or failed: an HTTP status, what was wrong, what to do.</summary>
internal sealed class ServiceException(int status, string message, string? next = null, string? details = null)
    : Exception(message)
{
    public const int BadRequest = 400;
    public const int NotFound = 404;
    public const int Conflict = 409;
    public const int TooMany = 429;
    public const int Failed = 500;
    public const int Unavailable = 503;

    public int Status => status;

    public Problem Problem => new(status, Message, next, details);

    /// <summary>Too many at this moment, or not ready yet: worth another try.</summary>
    public bool IsWorthAnotherTry => status is TooMany or Unavailable;
}
