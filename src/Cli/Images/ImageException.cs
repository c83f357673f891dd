using System;

namespace Quietus.Cli.Images;

/// <summary>
/// An image that cannot be taken, in one line that names the entry, made printable: it comes from the image.
/// </summary>
internal sealed class ImageException(string message, Exception? inner = null) : Exception(message, inner);
