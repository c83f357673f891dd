using System;
using System.Linq;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;

namespace Quietus.Service;

/// <summary>
/// Who may ask on TCP: a client that shows the token. A browser's WebSocket cannot have a header of its own, so it
/// shows the token among its protocols, as base64 without padding, in the alphabet for URLs.
/// </summary>
internal sealed class Access(string token)
{
    private const string Bearer = "Bearer ";
    private const string Name = "quietus";
    private const string InProtocol = "token.";

    private readonly byte[] _expected = SHA256.HashData(Encoding.ASCII.GetBytes(token));

    /// <summary>The protocol that a WebSocket is accepted with; null where the client named none.</summary>
    public static string? Protocol(HttpContext context) =>
        context.WebSockets.WebSocketRequestedProtocols.Contains(Name) ? Name : null;

    /// <summary>Whether the client may ask. What lies at / is the same for everyone, and needs no token.</summary>
    public bool Permits(HttpContext context)
    {
        string header = context.Request.Headers.Authorization.ToString();
        string shown = header.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase)
            ? header[Bearer.Length..]
            : FromProtocols(context);
        return CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(shown)), _expected);
    }

    private static string FromProtocols(HttpContext context)
    {
        string? word = context.WebSockets.WebSocketRequestedProtocols
            .FirstOrDefault(name => name.StartsWith(InProtocol, StringComparison.Ordinal));
        if (word is null)
        {
            return string.Empty;
        }

        string text = word[InProtocol.Length..].Replace('-', '+').Replace('_', '/');
        try
        {
            return Encoding.UTF8.GetString(Convert.FromBase64String(text.PadRight((text.Length + 3) / 4 * 4, '=')));
        }
        catch (FormatException)
        {
            return string.Empty;
        }
    }
}
