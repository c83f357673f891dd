using System;
using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Guests;
using Quietus.Cli.Images;
using Quietus.Cli.Qemu;

namespace Quietus.Cli.Templates;

/// <summary>A recipe whose image has been read and packed: all that a machine for it needs.</summary>
internal sealed record PreparedTemplate(TemplateRecipe Recipe, StoredImage Image, GuestPayload Guest)
{
    /// <summary>Memory where none is asked for, unless the image needs more.</summary>
    private const long UsualMemory = 256 * ByteSize.Megabyte;

    private const long Step = 64 * ByteSize.Megabyte;

    /// <summary>Reads a recipe's image and packs it into a folder.</summary>
    /// <param name="recipe">Its memory may be 0: what the image needs, then.</param>
    /// <param name="folder">A folder of this process's own; what is packed stays there.</param>
    public static PreparedTemplate Make(TemplateRecipe recipe, string folder)
    {
        using RootImage? image = recipe.Image is { } path
            ? RootImage.Open(path, folder, ImageLimits.Standard)
            : null;
        if (image is not null)
        {
            recipe = recipe.With(image.Configuration);
        }

        return Of(recipe, JobGuest.Pack(image, Path.Combine(folder, "image.cpio")), folder);
    }

    /// <summary>
    /// From an image that is packed already; the guest is written into a folder of this process's own.
    /// </summary>
    public static PreparedTemplate Of(TemplateRecipe recipe, StoredImage image, string folder)
    {
        GuestPayload guest = JobGuest.Make(image, folder);
        if (recipe.MemoryBytes == 0)
        {
            // Room to work in, beside what the image takes.
            long needed = guest.LeastMemory + Step;
            recipe = recipe with { MemoryBytes = Math.Max(UsualMemory, (needed + Step - 1) / Step * Step) };
        }

        guest.CheckFits(recipe.MemoryBytes);
        return new PreparedTemplate(recipe, image, guest);
    }

    /// <summary>The machine that it takes.</summary>
    /// <param name="children">How many live at a time.</param>
    /// <param name="cpu">What the machine has.</param>
    /// <param name="limit">How long it may take until the template is frozen.</param>
    public TemplatePlan Plan(int children, CpuModel cpu, TimeSpan limit) => new()
    {
        Guest = Guest,
        MemoryBytes = Recipe.MemoryBytes,
        Cpus = Recipe.Cpus,
        Cpu = cpu,
        HasNetwork = Recipe.HasNetwork,
        MostChildren = children,
        WarmUp = Recipe.WarmUpOrders(),
        Limit = limit,
    };
}
