using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;

namespace Quietus.Service;

/// <summary>
/// The page at / and what it is made of: files in this program, the same for every client, so they need no token. All
/// comes from here, and the browser is told to take nothing from elsewhere.
/// </summary>
internal static class PageFiles
{
    // xterm sets styles on elements that it makes.
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        + "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly Dictionary<string, (string Name, string Type)> _files = new(StringComparer.Ordinal)
    {
        ["/"] = ("index.html", "text/html; charset=utf-8"),
        ["/page.css"] = ("page.css", "text/css; charset=utf-8"),
        ["/page.mjs"] = ("page.mjs", "text/javascript; charset=utf-8"),
        ["/map.mjs"] = ("map.mjs", "text/javascript; charset=utf-8"),
        ["/terminal.mjs"] = ("terminal.mjs", "text/javascript; charset=utf-8"),
        ["/server.mjs"] = ("server.mjs", "text/javascript; charset=utf-8"),
        ["/xterm.mjs"] = ("xterm.xterm.mjs", "text/javascript; charset=utf-8"),
        ["/xterm.css"] = ("xterm.xterm.css", "text/css; charset=utf-8"),
    };

    /// <summary>Answers where the request is for one of the files.</summary>
    public static async Task ServeAsync(HttpContext context, RequestDelegate next)
    {
        if (!HttpMethods.IsGet(context.Request.Method)
            || !_files.TryGetValue(context.Request.Path.Value ?? string.Empty, out (string Name, string Type) file))
        {
            await next(context).ConfigureAwait(false);
            return;
        }

        Stream bytes = Assembly.GetExecutingAssembly().GetManifestResourceStream("page." + file.Name)
            ?? throw new InvalidOperationException($"{file.Name} is not in the program");
        await using (bytes.ConfigureAwait(false))
        {
            context.Response.ContentType = file.Type;
            context.Response.ContentLength = bytes.Length;
            context.Response.Headers.ContentSecurityPolicy = Policy;
            context.Response.Headers.XContentTypeOptions = "nosniff";
            context.Response.Headers.CacheControl = "no-cache";
            context.Response.Headers["Referrer-Policy"] = "no-referrer";
            await bytes.CopyToAsync(context.Response.Body, context.RequestAborted).ConfigureAwait(false);
        }
    }
}
