using System;
using System.Formats.Tar;
using System.IO;
using System.Linq;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Images;
using Shouldly;
using Xunit;
using static Quietus.Cli.Tests.Images.ImageFolder;

namespace Quietus.Cli.Tests.Images;

/// <summary>Images that are made to harm: nothing of them reaches the host, and each error names the entry.</summary>
public sealed class HostileImageTests : IDisposable
{
    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("../escaped")]
    [InlineData("a/../../escaped")]
    [InlineData("/../escaped")]
    public void A_path_that_climbs_is_refused(string path) => Refused("climbs", File(path, "x"));

    [Fact]
    public void A_path_that_begins_at_the_root_begins_at_the_image_s()
    {
        ImageTree tree = _folder.Tree(File("/etc/passwd", "theirs"));
        Text(tree, "etc/passwd").ShouldBe("theirs");
    }

    [Fact]
    public void A_file_behind_a_link_that_leads_out_lands_in_the_image()
    {
        ImageTree tree = _folder.Tree(
            Link("out", "/../../etc"), Link("up", "../../../etc"), File("out/one", "1"), File("up/two", "2"));
        Text(tree, "etc/one").ShouldBe("1");
        Text(tree, "etc/two").ShouldBe("2");
        tree.Find("out")!.IsFolder.ShouldBeTrue();
    }

    [Fact]
    public void A_link_out_of_a_folder_is_a_link_and_nothing_more()
    {
        string secret = _folder.Write("secret", "the host's");
        string root = _folder.At("root/x")[..^2];
        System.IO.File.CreateSymbolicLink(Path.Combine(root, "leak"), secret);
        System.IO.File.CreateSymbolicLink(Path.Combine(root, "all"), "/");
        using RootImage image = _folder.Open(root);
        image.Tree!.Root.Names!["leak"].Node.Target.ShouldBe(secret);
        image.Tree.Find("leak").ShouldBeNull();
        image.Tree.Entries.ShouldBe(3);
    }

    [Fact]
    public void A_hard_link_to_what_is_not_in_the_image_is_refused() =>
        Refused("no file of the image", HardLink("passwd", "/etc/passwd"));

    [Fact]
    public void A_hard_link_through_a_link_that_leads_out_finds_the_image_s_file_only() =>
        Refused("no file of the image", Link("host", "/etc"), HardLink("passwd", "host/passwd"));

    [Fact]
    public void Links_in_a_circle_are_refused() =>
        Refused("circle", Link("a", "b"), Link("b", "a"), File("a/x"));

    [Fact]
    public void A_file_below_a_file_is_refused() => Refused("a file lies on its path", File("a"), File("a/b"));

    [Fact]
    public void A_device_is_a_node_of_the_guest_and_is_never_opened()
    {
        ImageTree tree = _folder.Tree(new PaxTarEntry(TarEntryType.BlockDevice, "dev/sda")
        {
            DeviceMajor = 8,
            DeviceMinor = 1,
        });
        tree.Find("dev/sda")!.Special.ShouldBe((8u, 1u));
        tree.Find("dev/sda")!.Content.ShouldBeNull();
    }

    [Fact]
    public void A_name_that_no_Linux_has_is_refused()
    {
        Refused("too long", File(new string('n', 256)));
        Refused("too long", File(string.Join('/', Enumerable.Repeat("folder", 700))));
        Refused("too deep", File(string.Join('/', Enumerable.Repeat("d", 300))));
        Refused("not UTF-8", File("a\uFFFDb"));
    }

    [Fact]
    public void A_few_kilobytes_that_unpack_to_more_than_may_be_are_refused()
    {
        var limits = new ImageLimits { MostBytes = 1 << 20, MostEntries = 100 };
        byte[] bomb = Gzip(Tar(File("zeros", new string('\0', 2 << 20))));
        bomb.Length.ShouldBeLessThan(30_000);
        Message(bomb, limits).ShouldContain("more than 1048576 bytes");
    }

    [Fact]
    public void More_entries_than_may_be_are_refused()
    {
        var limits = new ImageLimits { MostEntries = 10 };
        Message(Tar([.. Enumerable.Range(0, 11).Select(i => File("f" + i))]), limits).ShouldContain("more than 10");
        Message(Tar(File("1/2/3/4/5/6/7/8/9/10/f")), limits).ShouldContain("more than 10");
    }

    [Fact]
    public void A_sparse_file_is_refused()
    {
        var sparse = new PaxTarEntry(
            TarEntryType.RegularFile, "s",
            new System.Collections.Generic.Dictionary<string, string> { ["GNU.sparse.major"] = "1" });
        Refused("sparse", sparse);
    }

    [Fact]
    public void An_archive_that_is_cut_off_is_refused()
    {
        byte[] whole = Tar(File("a", new string('x', 5000)), File("b", "y"));
        foreach (int length in (int[])[700, 1500, 3000, 6000])
        {
            Message(whole[..length], ImageLimits.Standard).ShouldNotBeNull();
        }

        byte[] packed = Gzip(whole);
        Message(packed[..(packed.Length / 2)], ImageLimits.Standard).ShouldContain("damaged");
    }

    [Fact]
    public void Damaged_archives_end_in_one_kind_of_error()
    {
        byte[][] archives =
        [
            Tar(Folder("d"), File("d/a", "hello"), Link("l", "d/a"), HardLink("h", "d/a"), File(new string('p', 200))),
            Gzip(Tar(Folder("d"), File("d/a", "hello"))),
        ];
        var random = new Random(14);
        var limits = new ImageLimits { MostBytes = 1 << 20, MostEntries = 1000 };
        int refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] damaged = (byte[])archives[i % 2].Clone();
            for (int hits = random.Next(1, 6); hits > 0; hits--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            try
            {
                using var spool = new ContentSpool(_folder.Path, limits.MostBytes);
                var tree = new ImageTree(limits);
                new TarLayer(tree, spool, limits).Read(new MemoryStream(damaged), hasWhiteouts: true);
                ImageArchive.Write(tree, Stream.Null);
            }
            catch (ImageException)
            {
                refused++;
            }
        }

        refused.ShouldBeGreaterThan(1000);
    }

    private void Refused(string why, params TarEntry[] entries) =>
        Message(Tar(entries), ImageLimits.Standard).ShouldContain(why);

    private string Message(byte[] archive, ImageLimits limits)
    {
        string path = _folder.Write("hostile.tar", archive);
        CliException error = Should.Throw<CliException>(() => _folder.Open(path, limits));
        error.ExitCode.ShouldBe(ExitCode.Usage);
        return error.Message;
    }
}
