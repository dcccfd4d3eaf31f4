namespace C10kServer.Engine.Handlers;

/// <summary>Says "hello world" and closes when that is sent: the smallest handler with a completion callback.</summary>
public sealed class HelloHandler : ConnectionHandler
{
    private static readonly WriteCallback CloseWhenSent = static (connection, _) => connection.Close();

    /// <inheritdoc/>
    public override void OnOpen(Connection connection) => connection.Write("hello world"u8, CloseWhenSent);
}
