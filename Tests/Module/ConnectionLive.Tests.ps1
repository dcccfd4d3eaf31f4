# Acting on connections from the shell, and seeing what happens to them: sending, moving, suspending, watching, events, measuring.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $manifest = "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"

    # Connected, and each with a row, in the order of the clients.
    function Connect-Client($Server, $Count) {
        $before = $Server.Accepted
        foreach ($i in 1..$Count) {
            $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
            $client.ReceiveTimeout = $client.SendTimeout = 180000
            $client
        }

        Wait-Until { $Server.Accepted - $before -eq $Count -and @(Get-C10kConnection $Server).Count -eq $Server.ConnectionCount }
    }

    function Get-ByteArray($Seed, $Count) {
        $bytes = [byte[]]::new($Count)
        [System.Random]::new($Seed).NextBytes($bytes)
        , $bytes
    }

    function Read-ByteArray($Client, $Count) {
        $bytes = [byte[]]::new($Count)
        $Client.GetStream().ReadExactly($bytes, 0, $Count)
        , $bytes
    }

    # Every byte: a long array is compared by the framework, a loop over it would take minutes.
    function Test-ByteArray($Actual, $Expected) {
        [System.Convert]::ToBase64String($Actual) -ceq [System.Convert]::ToBase64String($Expected)
    }

    function Test-Echo($Client, $Seed, $Count) {
        $bytes = Get-ByteArray $Seed $Count
        $Client.GetStream().Write($bytes, 0, $Count)
        Test-ByteArray (Read-ByteArray $Client $Count) $bytes
    }

    # A cmdlet that waits, in a runspace of its own.
    function Open-Shell($Script) {
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        $null = $shell.AddScript("Import-Module '$manifest'; $Script")
        $rows = [System.Management.Automation.PSDataCollection[psobject]]::new()
        $run = $shell.BeginInvoke([System.Management.Automation.PSDataCollection[psobject]]::new(), $rows)
        @{ Shell = $shell; Rows = $rows; Run = $run }
    }

    # Ctrl+C, and how long it took.
    function Close-Shell($Running) {
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $Running.Shell.Stop()
        $took = $watch.Elapsed
        $Running.Shell.Dispose()
        $took
    }

    # The watchers that a server tells, of whatever kind. By reflection: nothing in the shell shows them.
    function Get-WatcherCount($Server) {
        $flags = [System.Reflection.BindingFlags]'Instance, NonPublic'
        $engine = $Server.GetType().GetField('_engine', $flags).GetValue($Server)
        $list = $engine.GetType().GetProperty('Observers', $flags).GetValue($engine)
        @($list.GetType().GetField('_all', $flags).GetValue($list)).Where({ $_ }).Count
    }

    # A delegate of .NET that puts the arguments of an event into a queue. A script block could not run on the thread of the events.
    function Get-Subscriber([type] $Arguments, $Queue, [scriptblock] $First) {
        $expression = [System.Linq.Expressions.Expression]
        $source = $expression::Parameter([object], 'sender')
        $happened = $expression::Parameter($Arguments, 'happened')
        $steps = [System.Linq.Expressions.Expression[]]@(
            if ($First) { & $First $expression }
            $expression::Call($expression::Constant($Queue), $Queue.GetType().GetMethod('Enqueue'), $expression::Convert($happened, [object]))
        )
        $type = [System.EventHandler``1].MakeGenericType($Arguments)
        $expression::Lambda($type, $expression::Block($steps), [System.Linq.Expressions.ParameterExpression[]]@($source, $happened)).Compile()
    }

    $ledger = Get-ProcessLedger
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
    Wait-ProcessLedger -Base $ledger
}

Describe 'Send-C10kData' {
    BeforeAll {
        $server = Start-C10kServer -Name Send -Workers 4
        $other = Start-C10kServer -Name SendOther -Workers 1
        $clients = Connect-Client $server 3
        $stranger = Connect-Client $other 1
        $rows = foreach ($client in $clients) {
            $port = $client.Client.LocalEndPoint.Port
            Get-C10kConnection $server | Where-Object RemotePort -EQ $port
        }
    }

    AfterAll {
        foreach ($client in @($clients) + $stranger) { $client.Dispose() }
        $server, $other | Stop-C10kServer
    }

    It 'sends <What>' -ForEach @(
        @{ What = 'text, in UTF-8'; Data = "h$([char]0xfc)h`n"; More = @{}; Wanted = [byte[]](0x68, 0xc3, 0xbc, 0x68, 0x0a) }
        @{ What = 'text in another encoding'; Data = [string][char]0xfc; More = @{ Encoding = 'unicode' }; Wanted = [byte[]](0xfc, 0) }
        @{ What = 'text in a code page'; Data = [string][char]0xfc; More = @{ Encoding = 28591 }; Wanted = [byte[]](0xfc) }
        @{ What = 'text without a byte order mark'; Data = 'a'; More = @{ Encoding = [System.Text.Encoding]::UTF8 }; Wanted = [byte[]](0x61) }
        @{ What = 'bytes'; Data = [byte[]](0, 255, 1); More = @{}; Wanted = [byte[]](0, 255, 1) }
        @{ What = 'bytes in an object[]'; Data = [object[]]@([byte]7, 8, 9L); More = @{}; Wanted = [byte[]](7, 8, 9) }
        @{ What = 'a single byte'; Data = [byte]65; More = @{}; Wanted = [byte[]](65) }
    ) {
        $rows[0] | Send-C10kData -Data $Data @More | Should -BeNullOrEmpty
        Test-ByteArray (Read-ByteArray $clients[0] $Wanted.Length) $Wanted | Should -BeTrue
        $clients[1].Available + $clients[2].Available + $stranger.Available | Should -Be 0
    }

    It 'takes connections as objects and by Id, and gives them back as they are then' {
        $before = $rows[1].BytesSent
        $after = $rows[1] | Send-C10kData -Data 'one' -PassThru
        $after | Should -BeOfType ([C10kServer.Connection])
        $after.BytesSent | Should -Be ($before + 3)
        Send-C10kData $rows[1].Id 'two'
        Send-C10kData -Id $rows[1].Id, $rows[2].Id -Data 'three'
        Send-C10kData -InputObject $rows[1] -Data 'four'
        $rows[1], $rows[2] | Send-C10kData -Data 'five'
        [System.Text.Encoding]::UTF8.GetString((Read-ByteArray $clients[1] 19)) | Should -Be 'onetwothreefourfive'
        [System.Text.Encoding]::UTF8.GetString((Read-ByteArray $clients[2] 9)) | Should -Be 'threefive'
        $clients[0].Available | Should -Be 0
    }

    It 'takes the data as the first argument behind a pipeline, and as the second one behind an Id' {
        $rows[1] | Send-C10kData 'text'
        $rows[1] | Send-C10kData '5'
        $rows[1] | Send-C10kData ([byte[]](0x61, 0x62))
        $rows[1] | Send-C10kData (0x63, 0x64)
        Send-C10kData -InputObject $rows[1] 'e'
        Send-C10kData -Id $rows[1].Id 'f'
        Send-C10kData $rows[1].Id 'g'
        Send-C10kData ([int]$rows[1].Id) 'h'
        & ([scriptblock]::Create("Send-C10kData $($rows[1].Id) 'i'"))
        Send-C10kData $rows[1, 2].Id 'j'
        Send-C10kData -Server Send 'k'
        [System.Text.Encoding]::UTF8.GetString((Read-ByteArray $clients[1] 16)) | Should -Be 'text5abcdefghijk'
        [System.Text.Encoding]::UTF8.GetString((Read-ByteArray $clients[2] 2)) | Should -Be 'jk'
        (Read-ByteArray $clients[0] 1)[0] | Should -Be 0x6b
        { Send-C10kData $rows[1] 'x' } | Should -Throw
        foreach ($client in $clients) { $client.Available | Should -Be 0 }
    }

    It 'has its methods on the object' {
        $rows[2].Send('text')
        $rows[2].Send([byte[]](1, 2, 3))
        $rows[2].Send([byte[]](4, 5) + [byte[]](6, 7))
        { $rows[2].Send((8, 'x')) } | Should -Throw "*'x' is no byte*"
        Test-ByteArray (Read-ByteArray $clients[2] 11) ([byte[]](0x74, 0x65, 0x78, 0x74, 1, 2, 3, 4, 5, 6, 7)) | Should -BeTrue
    }

    It 'takes a server and a worker from the pipeline for all their connections, and never for the connection of that number' {
        $sent = $server | Send-C10kData -Data 'all' -PassThru
        $sent | Should -HaveCount 3
        foreach ($client in $clients) { [System.Text.Encoding]::UTF8.GetString((Read-ByteArray $client 3)) | Should -Be 'all' }
        $sent = Get-C10kWorker Send -Id $rows[1].Worker | Send-C10kData -Data 'w' -PassThru
        $sent.Id | Should -Be $rows[1].Id
        $null = Read-ByteArray $clients[1] 1
        Send-C10kData -Server Send* -Data 'x'
        foreach ($client in @($clients) + $stranger) { (Read-ByteArray $client 1)[0] | Should -Be 0x78 }
        foreach ($client in @($clients) + $stranger) { $client.Available | Should -Be 0 }
    }

    It 'sends nothing with -WhatIf' {
        $rows[0] | Send-C10kData -Data 'x' -WhatIf -PassThru | Should -BeNullOrEmpty
        Send-C10kData -Server Send -Data 'x' -WhatIf -PassThru | Should -BeNullOrEmpty
        Send-C10kData -Id $rows[0].Id -Data 'x' -WhatIf
        Test-Echo $clients[0] -Seed 1 -Count 10 | Should -BeTrue
    }

    It 'refuses <What>' -ForEach @(
        @{ What = 'a number'; Data = 65; Id = 'CannotConvertArgumentNoMessage,*' }
        @{ What = 'numbers that are no bytes'; Data = @(1, 256); Id = 'InvalidArgument,*' }
        @{ What = 'several strings'; Data = @('1', '2'); Id = 'InvalidArgument,*' }
        @{ What = 'nothing'; Data = ''; Id = 'ParameterArgumentValidationError,*' }
        @{ What = 'no bytes'; Data = [byte[]]@(); Id = 'ParameterArgumentValidationError,*' }
    ) {
        { $rows[0] | Send-C10kData -Data $Data } | Should -Throw -ErrorId $Id
    }

    It 'refuses an encoding of bytes, and one that there is not' {
        { $rows[0] | Send-C10kData -Data ([byte[]]1) -Encoding utf8 } | Should -Throw -ErrorId 'InvalidArgument,*'
        { $rows[0] | Send-C10kData -Data 'x' -Encoding none } | Should -Throw -ErrorId 'ParameterArgumentTransformationError,*'
        Test-Echo $clients[0] -Seed 2 -Count 10 | Should -BeTrue
    }

    It 'says which connection is closing and which is gone, and sends to the others' {
        $rows[0].Close()
        $rows[0], $rows[1] | Send-C10kData -Data 'y' -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be 'ConnectionClosing,C10kServer.Commands.SendC10kDataCommand'
        { $rows[0].Send('y') } | Should -Throw -ExpectedMessage '*is closing (AdminClosed)*'
        Send-C10kData -Server Send -Data 'z' -PassThru | Should -HaveCount 2
        [System.Text.Encoding]::UTF8.GetString((Read-ByteArray $clients[1] 2)) | Should -Be 'yz'
        $clients[0].GetStream().ReadByte() | Should -Be -1
        $clients[0].Dispose()
        Wait-Until { $server.ConnectionCount -eq 2 }
        Send-C10kData -Id $rows[0].Id, $rows[2].Id -Data 'y' -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.SendC10kDataCommand'
        [System.Text.Encoding]::UTF8.GetString((Read-ByteArray $clients[2] 2)) | Should -Be 'zy'
        { $rows[0].Send('y') } | Should -Throw -ExpectedMessage '*There is no connection*'
        Send-C10kData -Server NoSuch -Data 'y' -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed[0].FullyQualifiedErrorId | Should -Be 'ServerNotFound,C10kServer.Commands.SendC10kDataCommand'
        Send-C10kData -Server NoSuch* -Data 'y'
    }
}

Describe 'Send-C10kData to many' {
    BeforeAll {
        $server = Start-C10kServer -Name Many -Workers 4
        $clients = Connect-Client $server 200
    }

    AfterAll {
        foreach ($client in $clients) { $client.Dispose() }
        $server | Stop-C10kServer
    }

    It 'reaches all 200, each byte once and in order, wherever they were moved to' {
        $pieces = foreach ($i in 1..5) { , (Get-ByteArray $i 50000) }
        foreach ($i in 0..4) {
            Send-C10kData -Server Many -Data $pieces[$i] -PassThru | Should -HaveCount 200
            Get-C10kConnection Many -Worker ($i % 4) | Move-C10kConnection -Worker (($i + 1) % 4)
        }

        $wanted = [byte[]]::new(250000)
        foreach ($i in 0..4) { $pieces[$i].CopyTo($wanted, $i * 50000) }
        $right = 0
        foreach ($client in $clients) { $right += [int](Test-ByteArray (Read-ByteArray $client 250000) $wanted) }
        $right | Should -Be 200
        $echoed = 0
        foreach ($client in $clients) { $echoed += [int](Test-Echo $client -Seed 9 -Count 1000) }
        $echoed | Should -Be 200
        foreach ($client in $clients) { $client.Available | Should -Be 0 }
    }

    It 'sends nothing more to one that does not read, says so, resets nobody, and serves the others' {
        # Eight megabytes each time, which is MaxSendQueue, and the kernel has room for some.
        $data = Get-ByteArray 5 (8 * 1024 * 1024)
        $some = Start-C10kServer -Name Some
        $pair = Connect-Client $some 2
        foreach ($time in 1..4) {
            $arrived = $pair[1].GetStream().ReadExactlyAsync([System.Memory[byte]]::new([byte[]]::new($data.Length)))
            Send-C10kData -Server Some -Data $data -ErrorAction SilentlyContinue -ErrorVariable failed
            $arrived.AsTask().Wait(180000) | Should -BeTrue
            if ($failed) { break }
        }

        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be 'SendQueueFull,C10kServer.Commands.SendC10kDataCommand'
        $failed[0].CategoryInfo.Category | Should -Be ResourceBusy
        "$failed" | Should -Match 'does not read.*-MaxSendQueue'
        $row = Get-C10kConnection Some -Id $failed[0].TargetObject
        $row.State | Should -Be Open
        $row | Send-C10kData $data -PassThru -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        "$($failed.FullyQualifiedErrorId)" | Should -Be 'SendQueueFull,C10kServer.Commands.SendC10kDataCommand'
        { $row.Send($data) } | Should -Throw '*does not read*-MaxSendQueue*'
        $some.ConnectionCount | Should -Be 2
        Test-Echo $pair[1] -Seed 1 -Count 1000 | Should -BeTrue

        # All that was taken arrives, and then there is room again.
        foreach ($i in 1..($time - 1)) { Test-ByteArray (Read-ByteArray $pair[0] $data.Length) $data | Should -BeTrue }
        $row | Send-C10kData 'and on'
        [System.Text.Encoding]::ASCII.GetString((Read-ByteArray $pair[0] 6)) | Should -Be 'and on'
        foreach ($client in $pair) { $client.Dispose() }
        $some | Stop-C10kServer
    }
}

Describe 'Move-C10kConnection' {
    BeforeAll {
        $small = Start-C10kServer -Name Small -Workers 1
        $server = Start-C10kServer -Name Move -Workers 4
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 40, '--timeout', 120
        $null = Read-TestClient -Client $client
        Wait-Until { $server.ConnectionCount -eq 40 }
    }

    AfterAll {
        $null = Close-TestClient -Client $client
        $small, $server | Stop-C10kServer
    }

    It 'shows in the workers, and the traffic goes on' {
        $moved = Get-C10kConnection Move -Worker 0, 1 | Move-C10kConnection -Worker 3 -PassThru
        $moved | Should -HaveCount 20
        foreach ($row in $moved) { $row.Worker | Should -Be 3 }
        Wait-Until { ((Get-C10kWorker Move).ConnectionCount -join ' ') -eq '0 0 10 30' }
        $echo = Invoke-TestClient -Client $client -Line 'echo 20 1000'
        $echo.connections | Should -Be 40
        $echo.wrong + $echo.failed | Should -Be 0
    }

    It 'loses nothing while the connections echo' {
        $client.StandardInput.WriteLine('echo 300 5000')
        $client.StandardInput.Flush()
        foreach ($to in 0..3 + 0..3) { Get-C10kConnection Move | Move-C10kConnection -Worker $to }
        $echo = Read-TestClient -Client $client
        $echo.wrong + $echo.failed | Should -Be 0
        $echo.bytes | Should -Be (40 * 300 * 5000)
        (Get-C10kWorker Move).ConnectionCount -join ' ' | Should -Be '0 0 0 40'
    }

    It 'finds by Id, whichever server has it, and says which workers there are' {
        $id = (Get-C10kConnection Move)[0].Id
        (Move-C10kConnection -Id $id -Worker 1 -PassThru).Worker | Should -Be 1
        Move-C10kConnection -Id $id -Worker 4 -PassThru -ErrorAction SilentlyContinue -ErrorVariable failed | Should -BeNullOrEmpty
        $failed | Should -HaveCount 1
        $failed[0].FullyQualifiedErrorId | Should -Be 'WorkerNotFound,C10kServer.Commands.MoveC10kConnectionCommand'
        "$failed" | Should -BeLike 'Move has no worker 4. There are 0 to 3*'
        (Get-C10kConnection -Id $id).Worker | Should -Be 1
        Move-C10kConnection -Id 999999999 -Worker 1 -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.MoveC10kConnectionCommand'
        Move-C10kConnection -Id $id -Worker -1 -ErrorAction SilentlyContinue -ErrorVariable failed
        $failed[0].FullyQualifiedErrorId | Should -Be 'WorkerNotFound,C10kServer.Commands.MoveC10kConnectionCommand'
    }

    It 'moves nothing with -WhatIf' {
        $before = (Get-C10kWorker Move).ConnectionCount -join ' '
        (Get-C10kConnection Move)[0..1] | Move-C10kConnection -Worker 2 -WhatIf -PassThru | Should -BeNullOrEmpty
        (Get-C10kWorker Move).ConnectionCount -join ' ' | Should -Be $before
    }
}

Describe 'Suspend-C10kConnection and Resume-C10kConnection' {
    BeforeAll {
        $server = Start-C10kServer -Name Pause -Workers 2
        $clients = Connect-Client $server 2
        $rows = foreach ($client in $clients) {
            $port = $client.Client.LocalEndPoint.Port
            Get-C10kConnection $server | Where-Object RemotePort -EQ $port
        }
    }

    AfterAll {
        foreach ($client in $clients) { $client.Dispose() }
        $server | Stop-C10kServer
    }

    It 'stops reading of one, whose bytes wait, and serves them when it is resumed' {
        $suspended = $rows[0] | Suspend-C10kConnection -PassThru
        $suspended.Id | Should -Be $rows[0].Id
        $suspended.ReadPaused | Should -BeTrue
        $bytes = Get-ByteArray 3 100000
        $clients[0].GetStream().Write($bytes, 0, $bytes.Length)
        foreach ($i in 1..20) { Test-Echo $clients[1] -Seed $i -Count 1000 | Should -BeTrue }
        $row = Get-C10kConnection -Id $rows[0].Id
        $row.BytesReceived | Should -Be 0
        $row.ReadPaused | Should -BeTrue
        $clients[0].Available | Should -Be 0
        (Resume-C10kConnection -Id $rows[0].Id -PassThru).ReadPaused | Should -BeFalse
        Test-ByteArray (Read-ByteArray $clients[0] $bytes.Length) $bytes | Should -BeTrue
    }

    It 'still sends, and still notices a reset' {
        $rows | Suspend-C10kConnection
        $rows[1] | Send-C10kData -Data 'x'
        (Read-ByteArray $clients[1] 1)[0] | Should -Be 0x78
        $clients[0].Client.LingerState = [System.Net.Sockets.LingerOption]::new($true, 0)
        $clients[0].Dispose()
        Wait-Until { $server.ConnectionCount -eq 1 }
        (Get-C10kConnection Pause -Closed)[0].CloseReason | Should -Be Reset
        $rows[1] | Resume-C10kConnection
        $rows[0] | Resume-C10kConnection -ErrorAction SilentlyContinue -ErrorVariable gone
        $gone[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.ResumeC10kConnectionCommand'
        $rows[0] | Suspend-C10kConnection -ErrorAction SilentlyContinue -ErrorVariable gone
        $gone[0].FullyQualifiedErrorId | Should -Be 'ConnectionNotFound,C10kServer.Commands.SuspendC10kConnectionCommand'
        Test-Echo $clients[1] -Seed 4 -Count 10 | Should -BeTrue
    }

    It 'changes nothing with -WhatIf' {
        $rows[1] | Suspend-C10kConnection -WhatIf -PassThru | Should -BeNullOrEmpty
        Test-Echo $clients[1] -Seed 5 -Count 10 | Should -BeTrue
        $rows[1] | Suspend-C10kConnection
        $rows[1] | Resume-C10kConnection -WhatIf -PassThru | Should -BeNullOrEmpty
        (Get-C10kConnection -Id $rows[1].Id).ReadPaused | Should -BeTrue
        $rows[1] | Resume-C10kConnection
    }
}

Describe 'Watch-C10kConnection' {
    BeforeAll {
        $server = Start-C10kServer -Name Watch -Workers 2
        $other = Start-C10kServer -Name WatchOther -Workers 1

        # What is done behind the server in the pipeline is done while it is watched.
        function Invoke-Visit($Server, $Count) {
            foreach ($i in 1..$Count) {
                $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
                $client.ReceiveTimeout = 180000
                $null = Test-Echo $client -Seed $i -Count (10 + $i)
                $client.Dispose()
            }

            Wait-Until { $Server.ConnectionCount -eq 0 }
        }
    }

    AfterAll {
        $server, $other | Stop-C10kServer
    }

    It 'writes each as it opens and as it closes, with its reason and its bytes' {
        $rows = & { $server; Invoke-Visit $server 20; Invoke-Visit $other 5 } | Watch-C10kConnection -Count 40 -Timeout 180
        $rows | Should -HaveCount 40
        $rows[0].PSTypeNames[0..1] | Should -Be ('C10kServer.Connection#Watched', 'C10kServer.Connection')
        $opened = @{}
        foreach ($row in $rows) {
            $row | Should -BeOfType ([C10kServer.Connection])
            $row.ServerName | Should -Be 'Watch'
            if ($row.State -eq 'Open') {
                $row.CloseReason | Should -Be None
                $null -eq $row.EndTime | Should -BeTrue
                $opened[$row.Id] = $row
            } else {
                $row.State | Should -Be Closed
                $row.CloseReason | Should -Be PeerClosed
                $row.BytesReceived | Should -Be $row.BytesSent
                $row.EndTime | Should -BeGreaterOrEqual $row.StartTime
                $opened.ContainsKey($row.Id) | Should -BeTrue
                $opened.Remove($row.Id)
            }
        }

        $opened.Count | Should -Be 0
        # Two workers may close two connections at a time.
        ($rows | Where-Object State -EQ Closed | ForEach-Object BytesReceived | Sort-Object) -join ' ' | Should -Be (11..30 -join ' ')
    }

    It 'ends after -Count rows, or with the time' {
        & { $server; Invoke-Visit $server 5 } | Watch-C10kConnection -Count 3 | Should -HaveCount 3
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        Watch-C10kConnection Watch* -Timeout 300ms | Should -BeNullOrEmpty
        $watch.Elapsed.TotalMilliseconds | Should -BeGreaterOrEqual 300
        $watch.Ran.TotalMilliseconds | Should -BeLessThan 2000
        Get-WatcherCount $server | Should -Be 0
    }

    It 'watches one worker or one connection alone' {
        $guests = Connect-Client $server 2
        $row = (Get-C10kConnection Watch)[0]
        $rows = & { $row; foreach ($guest in $guests) { $guest.Dispose() }; Wait-Until { $server.ConnectionCount -eq 0 } } |
            Watch-C10kConnection -Timeout 300ms
        $rows.Id | Should -Be $row.Id
        $rows.State | Should -Be Closed
        $rows = & { Get-C10kWorker Watch -Id 1; Invoke-Visit $server 6 } | Watch-C10kConnection -Timeout 300ms
        $rows | Should -HaveCount 6
        foreach ($row in $rows) { $row.Worker | Should -Be 1 }
    }

    It 'ends when the servers that it watches are stopped, once all is written' {
        $short = foreach ($name in 'Short1', 'Short2') { Start-C10kServer -Name $name }
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $rows = & { $short; Invoke-Visit $short[0] 10; $guest = Connect-Client $short[1] 1; $short | Stop-C10kServer; $guest.Dispose() } |
            Watch-C10kConnection -Timeout 30
        $watch.Ran.TotalSeconds | Should -BeLessThan 20
        $rows | Should -HaveCount 22
        $rows[-1].CloseReason | Should -Be ServerStopped
        $short[0] | Watch-C10kConnection | Should -BeNullOrEmpty
        Get-C10kServer NoSuch* | Watch-C10kConnection | Should -BeNullOrEmpty
    }

    It 'says how many rows were lost' {
        # 5,000 open and close while nobody takes a row: 8,192 fit.
        $rows = & {
            $server
            $churn = Open-TestClient -Argument 'churn', '--port', $server.Port, '--total', 5000, '--end', 'reset'
            (Read-TestClient -Client $churn).cycles | Should -Be 5000
            $null = Close-TestClient -Client $churn
            Wait-Until { $server.ConnectionCount -eq 0 }
        } | Watch-C10kConnection -Timeout 2 -WarningVariable warnings -WarningAction SilentlyContinue
        $rows | Should -HaveCount 8192
        $warnings | Should -HaveCount 1
        "$warnings" | Should -Match '^1808 rows were lost'
    }

    It 'sees servers that are started while it watches all, and ends at Ctrl+C at once' {
        $running = Open-Shell 'Watch-C10kConnection'
        Wait-Until { (Get-WatcherCount $server) -eq 1 }
        $late = Start-C10kServer -Name Late
        Get-WatcherCount $late | Should -Be 1
        Invoke-Visit $late 1
        Invoke-Visit $other 1
        Wait-Until { $running.Rows.Count -eq 4 }

        # Not by enumeration, which waits for the end of the pipeline.
        $running.Rows.ReadAll().ServerName -join ' ' | Should -Be 'Late Late WatchOther WatchOther'
        (Close-Shell $running).TotalMilliseconds | Should -BeLessThan 500
        foreach ($one in $server, $other, $late) { Get-WatcherCount $one | Should -Be 0 }
        $later = Start-C10kServer -Name Later
        Get-WatcherCount $later | Should -Be 0
        $late, $later | Stop-C10kServer
    }

    It 'goes on while nothing happens, where no -Timeout was given' {
        $running = Open-Shell 'Watch-C10kConnection Watch'
        Wait-Until { (Get-WatcherCount $server) -eq 1 }

        # Some of its looks, which find nothing.
        $running.Run.AsyncWaitHandle.WaitOne(700) | Should -BeFalse
        Invoke-Visit $server 1
        Wait-Until { $running.Rows.Count -eq 2 }
        (Close-Shell $running).TotalMilliseconds | Should -BeLessThan 500
    }

    It 'that is stopped leaves a server as it is that restarts in this moment' {
        $flags = [System.Reflection.BindingFlags]'Instance, Static, NonPublic'
        $added = [C10kServer.Server].Assembly.GetType('C10kServer.ServerRegistry').GetField('Added', $flags)
        $first = @(Get-C10kServer)[0]
        $last = Start-C10kServer -Name WatchLast -Workers 1
        $running = Open-Shell '[System.Threading.Thread]::CurrentThread; Watch-C10kConnection'
        Wait-Until { (Get-WatcherCount $last) -eq 1 }
        $thread = $running.Rows[0]

        # The watch leaves its servers in their order. It is held at the first one, while the last one restarts.
        $events = $first.GetType().GetProperty('Events', $flags).GetValue($first)
        $gate = $events.GetType().GetField('_gate', $flags).GetValue($events)
        $gate.Enter()
        try {
            $stopping = $running.Shell.BeginStop($null, $null)
            Wait-Until { -not $added.GetValue($null) -and $thread.ThreadState.HasFlag([System.Threading.ThreadState]::WaitSleepJoin) }
            $last | Restart-C10kServer
        } finally {
            $gate.Exit()
            $running.Shell.EndStop($stopping)
            $running.Shell.Dispose()
        }

        (Get-C10kServer WatchLast).State | Should -Be Running
        $guest = Connect-Client $last 1
        Test-Echo $guest -Seed 1 -Count 100 | Should -BeTrue
        $guest.Dispose()
        foreach ($one in $first, $last) { Get-WatcherCount $one | Should -Be 0 }
        $last | Stop-C10kServer
    }

    It 'unsubscribes when the pipeline wants no more' {
        do {
            & { $server; Invoke-Visit $server 5 } | Watch-C10kConnection | ForEach-Object { $first = $_; break }
        } while ($false)
        $first.State | Should -Be Open
        Get-WatcherCount $server | Should -Be 0
    }

    It 'stops behind the first row that Select-Object takes' {
        $first = & { $server; Invoke-Visit $server 5 } | Watch-C10kConnection | Select-Object -First 1
        $first.State | Should -Be Open
        Get-WatcherCount $server | Should -Be 0
    }

    It 'says which server there is not' {
        Watch-C10kConnection NoSuch -ErrorAction SilentlyContinue -ErrorVariable missing | Should -BeNullOrEmpty
        $missing[0].FullyQualifiedErrorId | Should -Be 'ServerNotFound,C10kServer.Commands.WatchC10kConnectionCommand'
    }
}

Describe 'The events of a server' {
    BeforeAll {
        $server = Start-C10kServer -Name Events -Workers 2
        $threads = (Get-ProcessLedger).Threads
    }

    AfterAll {
        $server | Stop-C10kServer
    }

    It 'tell a delegate of connections and states, from the first subscription to the last' {
        $queue = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $connections = Get-Subscriber ([C10kServer.ConnectionEventArgs]) $queue
        $states = Get-Subscriber ([C10kServer.ServerStateEventArgs]) $queue
        $server.add_ConnectionOpened($connections)
        $server.add_ConnectionClosed($connections)
        $server.add_StateChanged($states)
        Wait-Until { (Get-ProcessLedger).Threads -eq $threads + 1 }
        $client = Connect-Client $server 1
        Test-Echo $client -Seed 1 -Count 100 | Should -BeTrue
        $client.Dispose()
        Wait-Until { $queue.Count -eq 2 }
        $seen = $queue.ToArray()
        $seen[0].Server | Should -Be $server
        $seen.Connection.State -join ' ' | Should -Be 'Open Closed'
        $seen[1].Connection.Id | Should -Be $seen[0].Connection.Id
        $seen[1].Connection.CloseReason | Should -Be PeerClosed
        $seen[1].Connection.BytesSent | Should -Be 100
        $queue.Clear()
        $server.remove_ConnectionOpened($connections)
        $server.remove_ConnectionClosed($connections)
        $brief = Start-C10kServer -Name Brief
        $brief.add_StateChanged($states)
        $brief | Stop-C10kServer
        Wait-Until { $queue.Count -eq 1 }
        $stopped = $queue.ToArray()[0]
        $stopped.Server | Should -Be $brief
        $stopped.PreviousState | Should -Be Running
        $stopped.State | Should -Be Stopped
        $server.remove_StateChanged($states)
        Wait-Until { (Get-ProcessLedger).Threads -eq $threads }
        $server.EventErrors + $server.EventsLost | Should -Be 0
    }

    It 'queue for the event manager of the shell, whose actions run in its runspace' {
        $total = @{ Opened = 0; Runspace = $null }
        $action = { $Event.MessageData.Opened++; $Event.MessageData.Runspace = [runspace]::DefaultRunspace.Id; $Event.MessageData.Row = $EventArgs.Connection }
        $events = $ExecutionContext.Events
        $subscription = $events.SubscribeEvent($server, 'ConnectionOpened', 'c10k.opened', [psobject]$total, $action, $false, $false)
        $null = $events.SubscribeEvent($server, 'ConnectionClosed', 'c10k.closed', $null, [scriptblock]$null, $false, $false)
        try {
            $clients = Connect-Client $server 3
            foreach ($client in $clients) { $client.Dispose() }
            Wait-Until { $total.Opened -eq 3 -and $events.ReceivedEvents.Count -eq 3 }
            $total.Runspace | Should -Be ([runspace]::DefaultRunspace.Id)
            $total.Row | Should -BeOfType ([C10kServer.Connection])
            $events.ReceivedEvents[0].SourceIdentifier | Should -Be 'c10k.closed'
            $events.ReceivedEvents[0].SourceEventArgs.Connection.CloseReason | Should -Be PeerClosed
        } finally {
            while ($events.ReceivedEvents.Count) { $events.ReceivedEvents.RemoveAt(0) }
            foreach ($each in @($events.Subscribers)) { if ($each.SourceIdentifier -like 'c10k.*') { $events.UnsubscribeEvent($each) } }
        }

        $subscription | Should -Not -BeNullOrEmpty
        Wait-Until { (Get-ProcessLedger).Threads -eq $threads }
        $server.EventErrors | Should -Be 0
    }

    It 'work with Register-ObjectEvent' {
        $total = @{ Closed = 0 }
        $job = Register-ObjectEvent -InputObject $server -EventName ConnectionClosed -MessageData $total -Action {
            $Event.MessageData.Closed++
            $EventArgs.Connection.CloseReason
        }
        Register-ObjectEvent -InputObject $server -EventName ConnectionOpened -SourceIdentifier c10k.opened
        try {
            foreach ($client in Connect-Client $server 2) { $client.Dispose() }
            Wait-Until { $total.Closed -eq 2 }
            (Wait-Event -SourceIdentifier c10k.opened -Timeout 180).SourceEventArgs.Connection.State | Should -Be Open
            Receive-Job $job | Should -Be ('PeerClosed', 'PeerClosed')
        } finally {
            Get-EventSubscriber | Where-Object { $_.SourceObject -eq $server } | Unregister-Event
            Get-Event | Remove-Event
            Remove-Job $job -Force
        }

        Wait-Until { (Get-ProcessLedger).Threads -eq $threads }
        $server.EventErrors | Should -Be 0
    }

    It 'count a script block that cannot run there, go on, and tell the others' {
        $errors = $server.EventErrors
        $queue = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $other = Get-Subscriber ([C10kServer.ConnectionEventArgs]) $queue
        $handler = [System.EventHandler[C10kServer.ConnectionEventArgs]] { throw 'this would not run' }
        $server.add_ConnectionOpened($handler)
        $server.add_ConnectionOpened($other)
        $clients = Connect-Client $server 10
        Wait-Until { $queue.Count -eq 10 }
        $server.EventErrors - $errors | Should -Be 10
        $server.LastError | Should -BeLike '*no Runspace*'
        $server.State | Should -Be Running
        foreach ($client in $clients) { Test-Echo $client -Seed 1 -Count 100 | Should -BeTrue }
        $server.remove_ConnectionOpened($handler)
        $server.remove_ConnectionOpened($other)
        foreach ($client in $clients) { $client.Dispose() }
        Wait-Until { (Get-ProcessLedger).Threads -eq $threads }
    }

    It 'cost the traffic nothing when a subscriber is slow and another throws' {
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 50, '--timeout', 120
        $null = Read-TestClient -Client $client
        $null = Invoke-TestClient -Client $client -Line 'echo 200 100'
        $queue = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $gate = [System.Threading.ManualResetEventSlim]::new()
        $slow = Get-Subscriber ([C10kServer.ConnectionEventArgs]) $queue -First {
            param($expression)
            $expression::Call($expression::Constant($gate), [System.Threading.ManualResetEventSlim].GetMethod('Wait', [type[]]@()))
        }
        $throwing = [System.EventHandler[C10kServer.ConnectionEventArgs]] { }
        $errors = $server.EventErrors

        # Connections come and go meanwhile, so that there are events; the best of three each, as other programs run too.
        $measure = {
            $churn = Open-TestClient -Argument 'churn', '--port', $server.Port, '--total', 6000, '--parallel', 8
            $best = @{ rate = 0; p99 = [long]::MaxValue }
            foreach ($time in 1..3) {
                $echo = Invoke-TestClient -Client $client -Line 'echo 300 100'
                $echo.wrong + $echo.failed | Should -Be 0
                $best.rate = [Math]::Max($best.rate, [double]::Parse($echo.rate, [cultureinfo]::InvariantCulture))
                $best.p99 = [Math]::Min($best.p99, $echo.p99)
            }

            (Read-TestClient -Client $churn).cycles | Should -Be 6000
            $null = Close-TestClient -Client $churn
            $best
        }
        $without = & $measure
        $server.add_ConnectionOpened($throwing)
        $server.add_ConnectionOpened($slow)
        $server.add_ConnectionClosed($slow)
        $with = & $measure
        $Host.UI.WriteLine("    echo beside 6,000 connections: $([int]$without.rate) messages/s, p99 $($without.p99) us; " +
            "with a blocked subscriber $([int]$with.rate), $($with.p99) us")
        $queue.Count | Should -Be 0
        $server.EventsLost | Should -BeGreaterThan 3000
        $with.rate | Should -BeGreaterThan (0.4 * $without.rate)
        $with.p99 | Should -BeLessThan ([Math]::Max(5 * $without.p99, 50000))
        $gate.Set()
        Wait-Until { $queue.Count -ge 8192 }
        $server.EventErrors | Should -BeGreaterThan $errors
        $server.remove_ConnectionOpened($throwing)
        $server.remove_ConnectionOpened($slow)
        $server.remove_ConnectionClosed($slow)
        $null = Close-TestClient -Client $client
        Wait-Until { (Get-ProcessLedger).Threads -eq $threads }
    }

    It 'do not hold the stop of the server up when a subscriber blocks' {
        $blocked = Start-C10kServer -Name Blocked
        $gate = [System.Threading.ManualResetEventSlim]::new()
        $queue = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
        $blocked.add_ConnectionOpened((Get-Subscriber ([C10kServer.ConnectionEventArgs]) $queue -First {
                    param($expression)
                    $expression::Call($expression::Constant($gate), [System.Threading.ManualResetEventSlim].GetMethod('Wait', [type[]]@()))
                }))
        $client = Connect-Client $blocked 1
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $blocked | Stop-C10kServer
        $watch.Ran.TotalSeconds | Should -BeLessThan 1.5
        $blocked.State | Should -Be Stopped
        $gate.Set()
        $client.Dispose()
        Wait-Until { (Get-ProcessLedger).Threads -eq $threads }
        $queue.Count | Should -Be 1
    }
}

Describe 'Measure-C10kServer' {
    BeforeAll {
        $server = Start-C10kServer -Name Measure -Workers 2
        $other = Start-C10kServer -Name MeasureOther -Workers 1
    }

    AfterAll {
        $server, $other | Stop-C10kServer
    }

    It 'tells exactly what was done, by its rates and the real time, and ends at Ctrl+C at once' {
        $running = Open-Shell 'Get-C10kServer Measure | Measure-C10kServer -Interval 100ms -Continuous'
        Wait-Until { $running.Rows.Count -ge 1 }
        $clients = Connect-Client $server 20
        foreach ($client in $clients) { foreach ($i in 1..5) { Test-Echo $client -Seed $i -Count 1000 | Should -BeTrue } }
        foreach ($client in $clients[0..14]) { $client.Dispose() }
        Wait-Until { $server.ConnectionCount -eq 5 }
        $count = $running.Rows.Count
        Wait-Until { $running.Rows.Count -ge $count + 2 }
        (Close-Shell $running).TotalMilliseconds | Should -BeLessThan 500
        $sum = @{ Accepts = 0; Closes = 0; MessagesReceived = 0; BytesReceived = 0; BytesSent = 0 }
        foreach ($sample in $running.Rows) {
            $sample.Interval.TotalMilliseconds | Should -BeGreaterOrEqual 10
            foreach ($name in @($sum.Keys)) { $sum[$name] += $sample.$name * $sample.Interval.TotalSeconds }
        }

        [Math]::Round($sum.Accepts, 3) | Should -Be 20
        [Math]::Round($sum.Closes, 3) | Should -Be 15
        [Math]::Round($sum.BytesReceived, 3) | Should -Be 100000
        [Math]::Round($sum.BytesSent, 3) | Should -Be 100000
        [Math]::Round($sum.MessagesReceived, 3) | Should -Be $server.MessagesReceived
        $running.Rows[-1].ConnectionCount | Should -Be 5
        foreach ($client in $clients) { $client.Dispose() }
    }

    It 'samples several servers together, as often as it is told, in their order' {
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        $samples = $server, $other | Measure-C10kServer -Interval 0.1 -Count 4
        $watch.Elapsed.TotalMilliseconds | Should -BeGreaterOrEqual 400
        $samples | Should -HaveCount 8
        $samples.ServerName -join ' ' | Should -Be ((@('Measure MeasureOther') * 4) -join ' ')
        $total = 0
        foreach ($sample in $samples) {
            $sample | Should -BeOfType ([C10kServer.Sample])
            $sample.ServerId | Should -BeIn $server.Id, $other.Id
            $sample.Time | Should -BeOfType ([datetimeoffset])
            $sample.Accepts | Should -BeOfType ([double])
            $total += $sample.Interval.TotalMilliseconds
        }

        # Without a drift: the ticks are counted from the beginning.
        $total / 2 | Should -BeGreaterOrEqual 399
        $total / 2 | Should -BeLessOrEqual $watch.Elapsed.TotalMilliseconds
    }

    It 'takes names, patterns, Ids and objects, one second and once by default' {
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        (Measure-C10kServer Measure*).ServerName | Should -Be ('Measure', 'MeasureOther')
        $watch.Elapsed.TotalSeconds | Should -BeGreaterOrEqual 1
        (Measure-C10kServer -Id $other.Id -Interval 10ms).ServerName | Should -Be 'MeasureOther'
        (Measure-C10kServer -InputObject $server -Interval 10ms).ServerName | Should -Be 'Measure'
        (Measure-C10kServer Measure, Meas* -Interval 10ms) | Should -HaveCount 2
        Measure-C10kServer NoSuch* | Should -BeNullOrEmpty
        Measure-C10kServer NoSuch -ErrorAction SilentlyContinue -ErrorVariable missing | Should -BeNullOrEmpty
        $missing[0].FullyQualifiedErrorId | Should -Be 'ServerNotFound,C10kServer.Commands.MeasureC10kServerCommand'
    }

    It 'refuses an interval that is too short, and -Count with -Continuous' {
        { Measure-C10kServer Measure -Interval 5ms } | Should -Throw -ErrorId 'InvalidArgument,C10kServer.Commands.MeasureC10kServerCommand'
        { Measure-C10kServer Measure -Count 2 -Continuous } | Should -Throw -ErrorId 'AmbiguousParameterSet,*'
    }

    It 'ends with the servers' {
        $short = Start-C10kServer -Name Short
        $running = Open-Shell 'Measure-C10kServer Short -Interval 50ms -Continuous'
        Wait-Until { $running.Rows.Count -ge 2 }
        $short | Stop-C10kServer
        $running.Run.AsyncWaitHandle.WaitOne(10000) | Should -BeTrue
        $running.Shell.Dispose()
        $short | Measure-C10kServer -Interval 50ms -Count 5 | Should -HaveCount 1
    }
}

Describe 'What comes back from CLIXML' {
    It 'is filtered and shown as the original is' {
        $shell = Open-TestShell -Command ("Import-Module '$manifest'`n" + @'
            $server = Start-C10kServer -Name copy
            $rows = & {
                $server
                $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
                $client.Dispose()
            } | Watch-C10kConnection -Count 2 -Timeout 180
            $sample = $server | Measure-C10kServer -Interval 100ms
            $guest = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
            while (-not (Get-C10kConnection)) { [System.Threading.Thread]::Sleep(10) }
            $live = Get-C10kConnection
            $workers = Get-C10kWorker
            $guest.Dispose()
            $server | Stop-C10kServer
            $ended = $server | Get-C10kConnection -Closed
            foreach ($object in $rows, $sample, $live, $workers, $ended, $server, $server.Options) {
                $copy = [System.Management.Automation.PSSerializer]::Deserialize([System.Management.Automation.PSSerializer]::Serialize($object))
                '-- original'
                $object | Out-Default
                '-- copy'
                $copy | Out-Default
                '-- end'
            }
            $copy = [System.Management.Automation.PSSerializer]::Deserialize([System.Management.Automation.PSSerializer]::Serialize($rows))
            "closed $(@($copy | Where-Object State -EQ Closed).Count) of $(@($copy).Count), reason $($copy[1].CloseReason)"
'@)
        $output = Wait-TestShell $shell
        $pairs = [regex]::Matches($output, '(?s)-- original\s*(.*?)\s*-- copy\s*(.*?)\s*-- end')
        $pairs.Count | Should -Be 7
        foreach ($pair in $pairs) {
            $pair.Groups[1].Value.Length | Should -BeGreaterThan 80
            $pair.Groups[2].Value | Should -Be $pair.Groups[1].Value
        }

        $pairs[0].Groups[1].Value | Should -Match 'Closed PeerClosed'
        $pairs[1].Groups[1].Value | Should -Match 'Msg/s'
        $output | Should -Match 'closed 1 of 2, reason PeerClosed'
    }
}
