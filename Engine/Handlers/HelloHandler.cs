namespace C10kServer.Engine.Handlers;

/// <summary>Sends "hello world", and closes when the text is sent: the smallest handler with a completion callback.</summary>
public sealed class HelloHandler : ConnectionHandler
{
    private static readonly WriteCallback CloseWhenSent = static (connection, _) => connection.Close();

    /// <inheritdoc/>
    public override void OnOpen(Connection connection) => connection.Write("hello world"u8, CloseWhenSent);
}
